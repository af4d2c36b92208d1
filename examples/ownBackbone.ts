/**
 * A detector on a backbone of your own: convolutions and a pooling layer with a total stride of 4 and one layer for each region,
 * trained on the digit scenes. `npx tsx examples/ownBackbone.ts [STEPS]`
 */
import { chain, convolve, detectImage, FasterRcnn, linear, maxPool2d, openDataset, openGpu } from '../src/node.ts';
import { type BackboneDescriptor, ParameterStore, PRESETS, registerBackbone, reshape } from '../src/node.ts';
import { trainDetector, withSteps } from '../src/node.ts';

export const tiny: BackboneDescriptor = {
  name: 'tiny',
  title: 'two convolutions, stride 4',
  stride: 4,
  input: { channels: 'rgb', mean: [110, 110, 110], factor: [1 / 64, 1 / 64, 1 / 64] },
  frozenStages: 0,
  pooled: 4,
  learnsFromRandom: true,
  pretraining: { size: 48, batch: 32, learningRate: 0.01 },
  build(gpu, { bins, seed, frozenStages }) {
    const [convolutions, regions] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
    const conv1 = convolutions.layer('conv1', [16, 3, 5, 5], { frozen: frozenStages >= 1 });
    const conv2 = convolutions.layer('conv2', [32, 16, 3, 3], { frozen: frozenStages >= 2 });
    const fc6 = regions.layer('fc6', [64, 32 * bins]);
    return {
      stride: 4,
      channels: 32,
      regionFeatures: 64,
      featureParameters: convolutions.parameters,
      regionParameters: regions.parameters,
      features: (image) =>
        chain(image, [
          (x) => convolve(x, conv1, { stride: 2, padding: 2, relu: true }),
          (x) => maxPool2d(x, { kernel: 2, ceilMode: true }),
          (x) => convolve(x, conv2, { padding: 1, relu: true }),
        ]),
      regions: (pooled) => linear(reshape(pooled, [pooled.shape[0]!, -1]), fc6.weight, fc6.bias, { relu: true }),
    };
  },
};

registerBackbone(tiny);

const steps = Number(process.argv[2] ?? 400);
const gpu = await openGpu();
const dataset = await openDataset('digits', { split: 'train' });
const { detector, training } = PRESETS['demo']!;
const { name: backbone, input, pooled } = tiny;
const own = { backbone, input: { ...detector.input, ...input }, head: { ...detector.head, pooled } };
const model = new FasterRcnn(gpu, { ...detector, ...own, classes: dataset.classes }, training.seed);
const losses: number[] = [];
const onMetrics = ({ step, loss }: { step: number; loss: number }) => {
  losses.push(loss);
  if (step % 100 === 0 || step === steps) console.log(`step ${step}: loss ${loss.toFixed(3)}`);
};
await trainDetector({ model, dataset, training: withSteps(training, steps), onMetrics });
console.log(`the loss went from ${losses[0]!.toFixed(3)} to ${losses.at(-1)!.toFixed(3)}`);
const found = await detectImage(model, await dataset.samples[0]!.load());
console.log(`${found.length} objects found in the first scene`);
gpu.close();
