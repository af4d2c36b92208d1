/** Layers in bands of rows (model/backbones/bands.ts) against the same layers on whole maps. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Gpu } from '../../src/engine/gpu.ts';
import { maxPool2d, sum, type Tensor } from '../../src/index.ts';
import { convolve, ParameterStore } from '../../src/model/backbones/backbone.ts';
import { inBands } from '../../src/model/backbones/bands.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

/** Runs `fn` as if the device bound no more than `maxBindingBytes`. */
function within<T>(gpu: Gpu, maxBindingBytes: number, fn: () => T): T {
  const { device } = gpu.plans;
  gpu.plans.planFor({ ...device, maxBindingBytes });
  try {
    return fn();
  } finally {
    gpu.plans.planFor(device);
  }
}

/** VGG-16's first block with other widths: the first convolution is direct, the second has Winograd's form. */
function firstBlock(gpu: Gpu, channels: number) {
  const store = new ParameterStore(gpu, 3);
  const convs = [store.layer('conv1', [channels, 3, 3, 3]), store.layer('conv2', [channels, channels, 3, 3])];
  const layers = [
    ...convs.map((conv) => (x: Tensor) => convolve(x, conv, { padding: 1, relu: true })),
    (x: Tensor) => maxPool2d(x, { kernel: 2, ceilMode: true }),
  ];
  return { layers, parameters: Object.values(store.parameters) };
}

for (const [height, width] of [
  [64, 20],
  [75, 21],
  [101, 24],
] as const)
  test(`bands of a ${height}x${width} image have the bits of the whole, and its gradients`, async () => {
    const gpu = await sharedGpu();
    const channels = 16;
    const { layers, parameters } = firstBlock(gpu, channels);
    const image = gpu.tensor(randomArray(3 * height * width, 1), [1, 3, height, width]);
    const run = async (rows: number) => {
      let bands = 0;
      const counted = [(x: Tensor) => (bands++, layers[0]!(x)), ...layers.slice(1)];
      return gpu.scope(async () => {
        const y = within(gpu, 4 * channels * width * rows, () =>
          inBands(image, counted, { channels, stride: 2, reach: 2 }),
        );
        const values = await y.read();
        sum(y).backward();
        const gradients = await Promise.all(parameters.map(({ grad }) => grad!.read()));
        parameters.forEach(({ grad }) => grad!.write(new Float32Array(grad!.size)));
        return { bands, shape: y.shape, values, gradients };
      });
    };
    const whole = await run(height);
    const banded = await run(32);
    assert.is(whole.bands, 1);
    assert.ok(banded.bands > 2);
    assert.equal(banded.shape, whole.shape);
    expectClose(banded.values, whole.values, { atol: 0, rtol: 0 });
    whole.gradients.forEach((gradient, i) =>
      expectClose(banded.gradients[i]!, gradient, { atol: 1e-3, rtol: 1e-4, what: parameters[i]!.name }),
    );
    [image, ...parameters].forEach((tensor) => tensor.dispose());
  });

test.run();
