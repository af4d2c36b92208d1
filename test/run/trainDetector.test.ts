/** What a training step makes of a data set: the image, the boxes and the seed that reach the losses, and its update. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dataset } from '../../src/data/types.ts';
import { openDataset } from '../../src/data/registry.ts';
import { add, FasterRcnn, type Losses, multiply, PRESETS, sum, type Tensor, trainDetector } from '../../src/index.ts';
import type { InputConfig } from '../../src/model/config.ts';
import { imageByImage, type ImageLosses } from '../../src/run/training/trainDetector.ts';
import { vocXml, writeVoc } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';

/** Two images of 40 x 30 pixels, red to the left and blue to the right. The file's boxes count from 1, ours from 0. */
async function twoImages(): Promise<Dataset> {
  const annotations = {
    a: vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]),
    b: vocXml([
      { name: 'ant', box: [1, 1, 40, 30], difficult: true },
      { name: 'cat', box: [11, 2, 31, 12] },
    ]),
  };
  const root = await writeVoc({ splits: { train: 'a\nb\n' }, annotations, images: ['a.png', 'b.png'] });
  const dataset = await openDataset(`voc:${root}`, { split: 'train' });
  dataset.samples[1]!.boxes.unshift({ x1: 2, y1: 3, x2: 30, y2: 20, classIndex: 1, difficult: false, crowd: true });
  return dataset;
}

const { detector, training } = PRESETS['digits']!;

async function twiceAsLarge({ classes }: Dataset): Promise<FasterRcnn> {
  const input: InputConfig = {
    ...detector.input,
    shorterSide: 60,
    channels: 'rgb',
    mean: [0, 0, 0],
    factor: [1, 1, 1],
  };
  return new FasterRcnn(await sharedGpu(), { ...detector, classes, input }, 1);
}

/** Losses whose sum is `term`. */
const only = (term: Tensor): Losses => {
  const zero = term.gpu.zeros([]);
  return { rpn_cls: zero, rpn_box: zero, head_cls: term, head_box: zero };
};

test('images are scaled and mirrored with their boxes; difficult objects and crowds are left out', async () => {
  const dataset = await twoImages();
  const model = await twiceAsLarge(dataset);
  const bias = model.parameters['rpn.conv.bias']!;
  const seen: { image: string; rows: Promise<ArrayLike<number>>; count: number; pixels: Promise<ArrayLike<number>> }[] =
    [];
  const losses: ImageLosses = ({ gpu }, image, truth, _, { index, flip }) => {
    if (gpu.rehearsal) return only(sum(bias));
    seen.push({
      image: dataset.samples[index]!.id + (flip ? ' mirrored' : ''),
      rows: truth.boxes.read(),
      count: truth.count,
      pixels: image.tensor.read(),
    });
    assert.equal([image.width, image.height, image.scale], [80, 60, 2]);
    return only(sum(bias));
  };
  await trainDetector({
    model,
    dataset,
    training: { ...training, steps: 4, flip: true },
    task: { losses: imageByImage(losses) },
  });
  seen.sort((a, b) => a.image.localeCompare(b.image));
  const expected: Record<string, number[]> = {
    a: [4, 6, 38, 28],
    'a mirrored': [40, 6, 74, 28], // 39 - 19, 39 - 2
    b: [20, 2, 60, 22],
    'b mirrored': [18, 2, 58, 22], // 39 - 30, 39 - 10
  };
  assert.equal(
    seen.map(({ image }) => image),
    Object.keys(expected),
  );
  for (const { image, rows, count, pixels } of seen) {
    const cat = dataset.classes.indexOf('cat');
    const [row, ...rest] = chunks(await rows, 5);
    assert.equal([count, row], [1, [...expected[image]!, cat]], image);
    assert.ok(rest.flat().every((value) => value === 0));
    const values = await pixels;
    const [left, right] = [values[0]!, values[79]!]; // of the red plane
    assert.equal([left, right], image.endsWith('mirrored') ? [0, 255] : [255, 0], image);
  }
  model.dispose();
});

const chunks = (values: ArrayLike<number>, size: number): number[][] =>
  Array.from({ length: values.length / size }, (_, i) => Array.from(values).slice(i * size, (i + 1) * size));

test('a step is one update by the mean of the gradients of its images', async () => {
  const dataset = await twoImages();
  const model = await twiceAsLarge(dataset);
  const { gpu } = model;
  const [weight, bias] = [model.parameters['rpn.conv.weight']!, model.parameters['rpn.conv.bias']!];
  const others = await model.parameters['conv2.weight']!.read();
  weight.write(new Float32Array(weight.size).fill(8));
  bias.write(new Float32Array(bias.size).fill(4));
  // The gradient is 1 for image a and 3 for image b: 2 in the mean.
  const losses: ImageLosses = (_, __, ___, ____, { index }) =>
    only(multiply(add(sum(weight), sum(bias)), gpu.tensor([2 * index + 1], [])));
  const lines: Record<string, number>[] = [];
  const rule = { learningRate: 0.5, warmup: 0, momentum: 0, weightDecay: 0.25, biasRate: 2, biasDecay: 0.5 };
  await trainDetector({
    model,
    dataset,
    training: { ...training, ...rule, steps: 1, imagesPerStep: 2, flip: false },
    task: { losses: imageByImage(losses) },
    onMetrics: (line) => lines.push(line),
  });
  // weight: 8 - 0.5 (2 + 0.25 * 8).   bias: 4 - 0.5 * 2 (2 + 0.25 * 0.5 * 4).
  assert.ok((await weight.read()).every((value) => value === 6));
  assert.ok((await bias.read()).every((value) => value === 1.5));
  assert.equal(await model.parameters['conv2.weight']!.read(), others, 'what has no gradient stays');
  // The log has the mean over the images, too.
  const total = 8 * weight.size + 4 * bias.size;
  assert.equal(
    lines.map(({ step, loss, head_cls, lr }) => [step, loss, head_cls, lr]),
    [[1, 2 * total, 2 * total, 0.5]],
  );
  model.dispose();
});

test('every image has a seed of its own, a function of the run’s seed and of its number', async () => {
  const dataset = await twoImages();
  const model = await twiceAsLarge(dataset);
  const bias = model.parameters['rpn.conv.bias']!;
  const seeds = async (seed: number, step: number): Promise<number[]> => {
    const drawn: number[] = [];
    const losses: ImageLosses = ({ gpu }, _, __, { random, seed }) => {
      assert.is(random, true);
      if (!gpu.rehearsal) drawn.push(seed);
      return only(sum(bias));
    };
    const progress = { step, seconds: 0, dataSeconds: 0 };
    await trainDetector({
      model,
      dataset,
      training: { ...training, seed, steps: 3, imagesPerStep: 2 },
      progress,
      task: { losses: imageByImage(losses) },
    });
    return drawn;
  };
  const whole = await seeds(7, 0);
  assert.is(new Set(whole).size, 6);
  assert.equal(await seeds(7, 1), whole.slice(2), 'resumed after a step of two images');
  assert.ok((await seeds(8, 0)).every((seed) => !whole.includes(seed)));
  model.dispose();
});

test.run();
