/**
 * Joint training steps of a preset at full size on one synthetic scene: losses, seconds, and the peak memory of the process
 * (with a software adapter, that includes the device's memory).
 *
 *   npx tsx bench/trainingStep.ts [PRESET] [HEIGHTxWIDTH] [STEPS]
 */
import { Sgd } from '../src/index.ts';
import { type LabelledBox, LOSS_TERMS } from '../src/model/detector.ts';
import { makeDetector } from '../src/model/detectors.ts';
import type { DecodedImage } from '../src/kernels/imagePrepare.ts';
import { openGpu } from '../src/node.ts';
import { Random } from '../src/kernels/rng.ts';
import { findPreset } from '../src/run/config/runConfig.ts';

const [name = 'paper-vgg16-voc07', size = '600x800', count = '5'] = process.argv.slice(2);
const [height, width] = size.split('x').map(Number) as [number, number];
const { detector, training } = findPreset(name, 'voc:').preset;
const classes = Array.from({ length: 21 }, (_, i) => `class ${i}`);
// The weights are random, not pre-trained, so they expect inputs of about 1.
const input = { ...detector.input, shorterSide: height, longerSide: width, factor: [1 / 64, 1 / 64, 1 / 64] };

const gpu = await openGpu();
console.log(`${name}, ${size}, ${gpu.adapter.description}`);
const model = makeDetector(gpu, { ...detector, input: input as typeof detector.input, classes }, training.seed);
const optimizer = new Sgd(Object.values(model.parameters), training);
const { pixels, boxes } = scene();

for (let step = 0; step < Number(count); step++) {
  const start = performance.now();
  optimizer.zeroGrad();
  const losses = gpu.scope(() => {
    const image = model.prepare(pixels);
    const losses = model.losses(image, model.truth(boxes, image), { random: true, seed: step });
    model.total(losses).backward({ free: true });
    return losses;
  });
  optimizer.step();
  await gpu.finish();
  const seconds = (performance.now() - start) / 1000;
  const terms = await Promise.all(LOSS_TERMS.map(async (term) => (await losses[term].read())[0]!));
  Object.values(losses).forEach((loss) => loss.dispose());
  const total = terms.reduce((sum, term) => sum + term, 0);
  const parts = LOSS_TERMS.map((term, i) => `${term} ${terms[i]!.toFixed(4)}`).join(', ');
  console.log(`step ${step}: ${seconds.toFixed(1)} s, loss ${total.toFixed(4)} (${parts})`);
}
const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
const { peakBytes } = gpu.statistics();
console.log(
  `most memory: the process ${gib(1024 * process.resourceUsage().maxRSS)} GiB, buffers ${gib(peakBytes)} GiB`,
);
gpu.close();

/** Noise with three boxes, each of one colour. */
function scene(): { pixels: DecodedImage; boxes: LabelledBox[] } {
  const random = new Random(1);
  const rgba = Uint8Array.from({ length: 4 * height * width }, () => random.integer(256));
  const boxes = [0.05, 0.35, 0.6].map((left, i) => {
    const [x1, y1] = [Math.round(left * width), Math.round(0.2 * (i + 1) * height)];
    return { x1, y1, x2: x1 + 150 + 50 * i, y2: y1 + 200 - 40 * i, classIndex: i + 1 };
  });
  for (const { x1, y1, x2, y2, classIndex } of boxes) {
    for (let y = y1; y <= y2; y++) {
      for (let x = x1; x <= x2; x++) rgba.fill(0, 4 * (y * width + x), 4 * (y * width + x) + 3);
      for (let x = x1; x <= x2; x++) rgba[4 * (y * width + x) + classIndex - 1] = 255;
    }
  }
  return { pixels: { width, height, rgba }, boxes };
}
