/** A backbone that a program adds: one file, and one call of `registerBackbone`. */
import { type BackboneDescriptor, conv2d, linear, ParameterStore, reshape } from '../../src/index.ts';

/** One convolution of stride 8; the names of its layers say nothing about which part they belong to. */
export const own: BackboneDescriptor = {
  name: 'own',
  title: 'one convolution, stride 8',
  stride: 8,
  input: { channels: 'bgr', mean: [1, 2, 3], factor: [0.1, 0.1, 0.1] },
  frozenStages: 0,
  pooled: 2,
  learnsFromRandom: true,
  pretraining: { size: 40, batch: 4, learningRate: 0.02 },
  build(gpu, { bins, seed }) {
    const [convolutions, regions] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
    const a = convolutions.layer('a', [8, 3, 9, 9]);
    const b = regions.layer('b', [12, 8 * bins]);
    return {
      stride: 8,
      channels: 8,
      regionFeatures: 12,
      featureParameters: convolutions.parameters,
      regionParameters: regions.parameters,
      features: (image) => conv2d(image, a.weight, a.bias, { stride: 8, padding: 4, relu: true }),
      regions: (region) => linear(reshape(region, [region.shape[0]!, -1]), b.weight, b.bias, { relu: true }),
    };
  },
};
