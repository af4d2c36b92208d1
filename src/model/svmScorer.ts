/**
 * R-CNN's scorer (Girshick et al. 2014): for each class a linear SVM on the vector of a region (fc7), and a linear regression of
 * its box on the pooled values (pool5). Both are fitted once the network is trained (run/training/fitScorer.ts); until then
 * they are 0.
 */
import type { Gpu } from '../engine/gpu.ts';
import { zeros } from '../engine/initializers.ts';
import { linear } from '../engine/ops/linear.ts';
import { reshape } from '../engine/ops/reshape.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Layer } from './backbones/backbone.ts';
import type { RegionFeatures } from './regionFeatures.ts';

/** The names of the parameters of a layer. */
export const SVM_LAYER = 'head.svm';
export const RIDGE_LAYER = 'head.ridge';

export class SvmScorer {
  readonly parameters: Readonly<Record<string, Tensor>>;
  private readonly svm: Layer;
  private readonly ridge: Layer;

  /** `classes`: with the background, whose rows stay 0. */
  constructor(gpu: Gpu, classes: number, { length, pooledLength }: RegionFeatures<unknown>) {
    const parameters: Record<string, Tensor> = {};
    const layer = (name: string, outputs: number, inputs: number): Layer => {
      const weight = gpu.parameter(zeros, [outputs, inputs], `${name}.weight`);
      const bias = gpu.parameter(zeros, [outputs], `${name}.bias`);
      for (const parameter of [weight, bias]) {
        parameter.requiresGrad = false;
        parameters[parameter.name] = parameter;
      }
      return { weight, bias };
    };
    this.svm = layer(SVM_LAYER, classes, length);
    this.ridge = layer(RIDGE_LAYER, 4 * classes, pooledLength);
    this.parameters = parameters;
  }

  /** pooled [R, C, ...], vector [R, length] -> the SVMs' values [R, K], and deltas [R, 4K] as those of the head. */
  score(pooled: Tensor, vector: Tensor): { logits: Tensor; deltas: Tensor } {
    return {
      logits: linear(vector, this.svm.weight, this.svm.bias, { dtype: 'f32' }),
      deltas: linear(reshape(pooled, [pooled.shape[0]!, -1]), this.ridge.weight, this.ridge.bias, { dtype: 'f32' }),
    };
  }
}
