/** Convolutions: forward, input gradient and filter gradient, each alone. */
import type { Gpu } from '../../engine/gpu.ts';
import type { GradientTarget } from '../../engine/autograd.ts';
import { BYTES } from '../../engine/dtype.ts';
import { cast } from '../../engine/ops/cast.ts';
import { conv2d } from '../../engine/ops/conv2d.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Precision } from '../../model/config.ts';
import type { BenchCase, PreparedCase } from '../case.ts';
import { compareElements, type Expected, sampleIndices, TOLERANCE } from '../compare.ts';
import { uniform } from '../inputs.ts';
import { convFilterGradientElement, convForwardElement, convInputGradientElement } from '../references.ts';
import { convBytes, convFlops, type ConvLayer, layerName, outputSize } from '../shapes.ts';

export const CONV_PASSES = ['forward', 'input gradient', 'filter gradient'] as const;
export type PassTitle = (typeof CONV_PASSES)[number];

/** How many elements are compared: few of a filter gradient, each of which is a sum over the whole map. */
const SAMPLES: Record<PassTitle, number> = { forward: 256, 'input gradient': 256, 'filter gradient': 64 };

/** `quick` has the indices of the layers in the short run. `dtype` is that of maps and filters; biases and filter gradients are f32. */
export const convCases = (
  group: string,
  layers: readonly ConvLayer[],
  quick: readonly number[],
  dtype: Precision = 'f32',
): BenchCase[] =>
  layers.flatMap((layer, i) =>
    CONV_PASSES.map((pass) => ({
      group,
      op: `conv2d ${pass}${dtype === 'f16' ? ' f16' : ''}`,
      shape: layerName(layer),
      quick: quick.includes(i),
      flops: convFlops(layer),
      bytes: convBytes(layer, BYTES[dtype], pass === 'filter gradient' ? BYTES.f32 : BYTES[dtype]),
      half: dtype === 'f16',
      clock: 'device' as const,
      prepare: (gpu: Gpu) => prepareConv(gpu, layer, pass, dtype),
    })),
  );

export interface ConvInputs {
  x: Float32Array;
  w: Float32Array;
  dy: Float32Array;
}

export function convInputs(layer: ConvLayer, dtype: Precision = 'f32'): ConvInputs {
  const { C, K, H, W, side } = layer;
  const { OH, OW } = outputSize(layer);
  return {
    x: uniform(C * H * W, 1, dtype),
    w: uniform(K * C * side * side, 2, dtype),
    dy: uniform(K * OH * OW, 3, dtype),
  };
}

export function convElement(layer: ConvLayer, pass: PassTitle, { x, w, dy }: ConvInputs, index: number): Expected {
  if (pass === 'forward') return convForwardElement(layer, x, w, index);
  if (pass === 'input gradient') return convInputGradientElement(layer, dy, w, index);
  return convFilterGradientElement(layer, x, dy, index);
}

function prepareConv(gpu: Gpu, layer: ConvLayer, pass: PassTitle, dtype: Precision): PreparedCase {
  const inputs = convInputs(layer, dtype);
  return {
    compute: convPass(gpu, layer, pass, inputs, dtype),
    check: ([result]) =>
      compareElements(
        result!,
        sampleIndices(result!.length, SAMPLES[pass]).map((index) => convElement(layer, pass, inputs, index)),
        TOLERANCE,
        pass === 'filter gradient' ? 'f32' : dtype,
      ),
  };
}

/** Returns a function that records the pass. A gradient comes from the operation's own rule, which is asked for one input only. */
export function convPass(
  gpu: Gpu,
  layer: ConvLayer,
  pass: PassTitle,
  inputs: ConvInputs,
  dtype: Precision = 'f32',
): () => Tensor[] {
  const { C, K, H, W, side, stride, pad: padding } = layer;
  const { OH, OW } = outputSize(layer);
  const x = cast(gpu.tensor(inputs.x, [1, C, H, W], 'x'), dtype);
  const weight = gpu.tensor(inputs.w, [K, C, side, side], 'weight');
  if (dtype === 'f16') weight.half(); // the rounded copy is kept, as a parameter's is, so rounding is not timed
  if (pass === 'forward') return () => [conv2d(x, weight, null, { stride, padding })];
  const input = pass === 'input gradient';
  (input ? x : weight).requiresGrad = true;
  const { operation, saved } = conv2d(x, weight, null, { stride, padding }).node!;
  const dy = cast(gpu.tensor(inputs.dy, [1, K, OH, OW], 'dy'), dtype);
  const into = (): GradientTarget => ({ sum: input ? gpu.empty(x.shape, dtype) : gpu.empty(weight.shape), add: false });
  const request = { dy, needs: [input, !input], into };
  return () => [operation.gradient(request, saved)[input ? 0 : 1]!];
}
