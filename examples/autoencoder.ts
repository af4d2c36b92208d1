/**
 * An autoencoder: squeezes each digit into 16 numbers and back, and draws one beside its reconstruction.
 *
 *   npx tsx examples/autoencoder.ts [STEPS]
 */
import { conv2d, convTranspose2d, heNormal, linear, meanSquaredError, openGpu, relu, reshape } from '../src/node.ts';
import { Sgd, sigmoid, type Tensor, zeros } from '../src/node.ts';
import { digits } from './digits.ts';

const steps = Number(process.argv[2] ?? 500);
const gpu = await openGpu();
console.log(gpu.adapter.description);

const layer = (name: string, seed: number, ...shape: number[]): Tensor => gpu.parameter(heNormal(seed), shape, name);
const [down1, down2] = [layer('down1', 1, 8, 1, 3, 3), layer('down2', 2, 16, 8, 3, 3)];
const [code, decode] = [layer('code', 3, 16, 16 * 7 * 7), layer('decode', 4, 16 * 7 * 7, 16)];
const [up1, up2] = [layer('up1', 5, 16, 8, 4, 4), layer('up2', 6, 8, 1, 4, 4)];
const bias = gpu.parameter(zeros, [1], 'bias');
const sgd = new Sgd([down1, down2, code, decode, up1, up2, bias], { learningRate: 1, momentum: 0.9 });

const encode = (images: Tensor): Tensor => {
  const half = conv2d(images, down1, null, { stride: 2, padding: 1, relu: true });
  const quarter = conv2d(half, down2, null, { stride: 2, padding: 1, relu: true });
  return linear(reshape(quarter, [images.shape[0]!, -1]), code);
};
const reconstruct = (codes: Tensor): Tensor => {
  const quarter = reshape(linear(codes, decode, null, { relu: true }), [-1, 16, 7, 7]);
  const half = relu(convTranspose2d(quarter, up1, null, { stride: 2, padding: 1 }));
  return sigmoid(convTranspose2d(half, up2, bias, { stride: 2, padding: 1 }));
};

const { batch } = digits('train');
for (let step = 1; step <= steps; step++) {
  sgd.zeroGrad();
  const loss = gpu.scope(() => {
    const { images } = batch(gpu, step, 32);
    const loss = meanSquaredError(reconstruct(encode(images)), images);
    loss.backward();
    return loss;
  });
  sgd.step();
  if (step % 100 === 0 || step === steps) console.log(`step ${step}: loss ${(await loss.read())[0]!.toFixed(5)}`);
  loss.dispose();
}

await gpu.scope(async () => {
  const { images } = digits('test').batch(gpu, 0, 1);
  const [before, after] = [await images.read(), await reconstruct(encode(images)).read()];
  const row = (pixels: ArrayLike<number>, y: number): string =>
    Array.from({ length: 28 }, (_, x) => ' .:-=+*#%@'[Math.floor(9.99 * pixels[28 * y + x]!)]).join('');
  for (let y = 0; y < 28; y += 2) console.log(`${row(before, y)}   ${row(after, y)}`);
});
gpu.close();
