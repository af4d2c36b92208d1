/**
 * A U-Net (Ronneberger, Fischer and Brox 2015) that tells the ink of digits from a cluttered background, pixel by pixel, on modules.
 *
 *   npx tsx examples/unet.ts [STEPS]
 */
import { Adam, BatchNorm2d, binaryCrossEntropyWithLogits, concat, Conv2d, gaussian, type Gpu } from '../src/node.ts';
import { maxPool2d, Module, openGpu, relu, Sequential, type Tensor, upsampleBilinear } from '../src/node.ts';
import { digits } from './digits.ts';

const SIDE = 32;
const steps = Number(process.argv[2] ?? 200);
const gpu = await openGpu();
console.log(gpu.adapter.description);

/** Convolution, normalisation, ReLU, twice. */
const block = (gpu: Gpu, inputs: number, outputs: number): Sequential =>
  new Sequential([
    new Conv2d(gpu, inputs, outputs, 3, { padding: 1, bias: false }),
    new BatchNorm2d(gpu, outputs),
    relu,
    new Conv2d(gpu, outputs, outputs, 3, { padding: 1, bias: false }),
    new BatchNorm2d(gpu, outputs),
    relu,
  ]);

class UNet extends Module {
  private readonly down: readonly Sequential[];
  private readonly up: readonly Sequential[];
  private readonly last: Conv2d;

  constructor(gpu: Gpu) {
    super();
    this.down = [block(gpu, 1, 8), block(gpu, 8, 16), block(gpu, 16, 32)];
    this.up = [block(gpu, 32 + 16, 16), block(gpu, 16 + 8, 8)];
    this.down.forEach((part, i) => this.add(`down${i}`, part));
    this.up.forEach((part, i) => this.add(`up${i}`, part));
    this.last = this.add('last', new Conv2d(gpu, 8, 1, 1));
  }

  forward(x: Tensor): Tensor {
    const fine = this.down[0]!.forward(x);
    const middle = this.down[1]!.forward(maxPool2d(fine, { kernel: 2 }));
    const coarse = this.down[2]!.forward(maxPool2d(middle, { kernel: 2 }));
    const half = this.up[0]!.forward(concat([upsampleBilinear(coarse, [SIDE / 2, SIDE / 2]), middle], 1));
    return this.last.forward(this.up[1]!.forward(concat([upsampleBilinear(half, [SIDE, SIDE]), fine], 1)));
  }
}

/** Digits on noise with bars of the same brightness: pictures and the masks of their ink, [N, 1, 32, 32]. */
async function scenes(
  part: 'train' | 'test',
  step: number,
  size: number,
): Promise<{ pictures: Tensor; masks: Tensor }> {
  const { images } = digits(part).batch(gpu, step, size);
  const ink = await images.read();
  images.dispose();
  const picture = gaussian(0.15, 1000 + step)([size, SIDE, SIDE]);
  const mask = new Float32Array(picture.length);
  for (let n = 0; n < size; n++) {
    const bar = (n * 7 + step) % SIDE;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const at = (n * SIDE + y) * SIDE + x;
        if (n % 2 === 0 ? x === bar : y === bar) picture[at]! += 0.8;
        const value = x >= 2 && y >= 2 && x < 30 && y < 30 ? ink[(n * 28 + y - 2) * 28 + x - 2]! : 0;
        picture[at]! += value;
        mask[at] = Number(value > 0.5);
      }
    }
  }
  const shape = [size, 1, SIDE, SIDE];
  return { pictures: gpu.tensor(picture, shape), masks: gpu.tensor(mask, shape) };
}

const network = new UNet(gpu);
const adam = new Adam(network.parameters(), { learningRate: 0.01 });
for (let step = 1; step <= steps; step++) {
  const { pictures, masks } = await scenes('train', step, 16);
  adam.zeroGrad();
  const loss = gpu.scope(() => {
    const loss = binaryCrossEntropyWithLogits(network.forward(pictures), masks);
    loss.backward();
    return loss;
  });
  adam.step();
  if (step % 20 === 0 || step === steps) console.log(`step ${step}: loss ${(await loss.read())[0]!.toFixed(4)}`);
  [loss, pictures, masks].forEach((tensor) => tensor.dispose());
}

network.train(false);
const { pictures, masks } = await scenes('test', 0, 100);
const found = await gpu.withoutGradients(() => network.forward(pictures)).read();
const truth = await masks.read();
let [both, either] = [0, 0];
found.forEach((logit, i) => {
  both += Number(logit > 0 && truth[i] === 1);
  either += Number(logit > 0 || truth[i] === 1);
});
console.log(`intersection over union of ink in 100 test pictures: ${(both / either).toFixed(3)}`);
gpu.close();
