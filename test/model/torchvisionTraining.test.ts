/**
 * Training on a feature pyramid against torchvision (scripts/goldens/detectors.py): the gradients of every parameter in the first
 * step, and the four losses of twenty steps of SGD. The samplers take the first candidates by index on both sides.
 *
 * Then a batch of two images of different shapes, by whose statistics its maps are normalised.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, type LabelledBox, makeOptimizer, LOSS_TERMS, scale, type Tensor } from '../../src/index.ts';
import { loadSafetensors } from '../../src/node.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import { PyramidRcnn } from '../../src/model/pyramidRcnn.ts';
import { resnet18Fpn } from '../../src/model/backbones/resnetPyramids.ts';
import { pyramidDetector, PRESETS } from '../../src/run/config/presets.ts';
import { sharedGpu } from '../harness.ts';
import { fill, picture, sampled } from './seeded.ts';
import { torchvisionName } from './torchvisionNames.ts';

const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/torchvision-detectors.safetensors', import.meta.url).pathname,
);
const golden = (name: string): number[] => [...tensors[name]!.data];

/** What both cases say. */
interface Case {
  seed: string;
  heads: number;
  sides: [number, number];
  classes: number;
  batch: [number, number];
  parameters: string[];
}

const share = (actual: number, expected: number): number => Math.abs(actual - expected) / Math.abs(expected);

/** The detector of a case, and its parameters by torchvision's names; the same are trained. */
async function detectorOf(
  { seed, heads, sides, classes, batch, parameters }: Case,
  changed: Partial<DetectorConfig> = {},
): Promise<{ model: PyramidRcnn; named: ReadonlyMap<string, Tensor> }> {
  const preset = pyramidDetector(resnet18Fpn);
  const config: DetectorConfig = {
    ...preset,
    input: { ...preset.input, shorterSide: sides[0], longerSide: sides[1] },
    rpn: { ...preset.rpn, batch: batch[0] },
    head: { ...preset.head, batch: batch[1] },
    classes: ['__background__', ...Array.from({ length: classes - 1 }, (_, i) => `class ${i + 1}`)],
    ...changed,
  };
  const model = new PyramidRcnn(await sharedGpu(), config, 0);
  const named = new Map(Object.values(model.parameters).map((tensor) => [torchvisionName(tensor.name, ''), tensor]));
  for (const [name, tensor] of named) tensor.write(fill(name, tensor.shape, seed, heads));
  const trained = [...named].filter(([, { requiresGrad }]) => requiresGrad).map(([name]) => name);
  assert.equal(trained.sort(), [...parameters].sort(), 'the same parameters are trained');
  return { model, named };
}

const labelled = (boxes: number[][]): LabelledBox[] =>
  boxes.map(([x1, y1, x2, y2, classIndex]) => ({ x1, y1, x2, y2, classIndex }) as LabelledBox);

function expectLosses(values: readonly number[], expected: readonly number[], step: string): void {
  values.forEach((value, i) => {
    const off = share(value, expected[i]!);
    assert.ok(off < 1e-4, `${step}: ${LOSS_TERMS[i]} is ${value}, torchvision's ${expected[i]}`);
  });
}

/** `part`: of the file. The gradients here are `times` those of torchvision. */
async function expectGradients(
  part: string,
  parameters: readonly string[],
  named: ReadonlyMap<string, Tensor>,
  times = 1,
): Promise<void> {
  const [gradients, sizes] = [golden(`${part}/gradients`), golden(`${part}/rms`)];
  for (const [i, name] of parameters.entries()) {
    const found = sampled(await named.get(name)!.grad!.read(), 8);
    const worst = Math.max(...found.map((value, k) => Math.abs(value / times - gradients[8 * i + k]!)));
    assert.ok(
      worst <= 1e-3 * sizes[i]!,
      `${name}: a gradient is off by ${worst / sizes[i]!} of their root mean square`,
    );
  }
}

test('gradients of the first step, losses of twenty steps', async () => {
  const gpu = await sharedGpu();
  const { size, boxes, steps, ...rest } = JSON.parse(metadata['train']!);
  const { seed, heads: _, sides: __, classes: ___, batch: ____, parameters, ...rates } = rest;
  const { model, named } = await detectorOf(rest);
  const optimizer = makeOptimizer(model.parameters, { ...PRESETS['resnet50-fpn']!.training, ...rates });
  const image = model.prepare(picture(seed, size[0], size[1]));
  const truth = model.truth(labelled(boxes), image);
  const expected = golden('train/losses');
  for (let step = 0; step < steps; step++) {
    const losses = gpu.scope(() => {
      optimizer.zeroGrad();
      const terms = model.losses(image, truth, { random: false, seed: 0 });
      model.total(terms).backward();
      return LOSS_TERMS.map((term) => terms[term]);
    });
    const values = await Promise.all(losses.map(async (loss) => (await loss.read())[0]!));
    losses.forEach((loss) => loss.dispose());
    expectLosses(values, expected.slice(4 * step, 4 * step + 4), `step ${step}`);
    if (step === 0) await expectGradients('train', parameters, named);
    optimizer.learningRate = rates.learningRate;
    optimizer.step();
  }
  optimizer.dispose();
  model.dispose();
});

test('a batch of two images of different shapes: losses, gradients, and statistics of batch normalisation', async () => {
  const gpu = await sharedGpu();
  const { sizes, boxes, statistics, ...rest } = JSON.parse(metadata['batch']!);
  const batchNorm = { training: true, epsilon: 1e-5 };
  const { model, named } = await detectorOf(rest, { batchNorm, frozenStages: 0 });
  const means = await gpu.scope(async () => {
    const images = (sizes as [number, number][]).map(([height, width], i) => {
      const image = model.prepare(picture(`${rest.seed}.${i}`, height, width));
      return { image, truth: model.truth(labelled(boxes[i]), image), sampling: { random: false, seed: 0 } };
    });
    const losses = model.batchLosses(images);
    add(...(losses.map((terms) => model.total(terms)) as [Tensor, Tensor])).backward();
    // torchvision has the mean over the mini-batches of both images, which are of one size.
    const mean = LOSS_TERMS.map((term) => scale(add(losses[0]![term], losses[1]![term]), 0.5));
    return Promise.all(mean.map(async (loss) => (await loss.read())[0]!));
  });
  expectLosses(means, golden('batch/losses'), 'the batch');
  const expected = golden('batch/statistics');
  for (const [i, name] of (statistics as string[]).entries()) {
    const found = sampled(await named.get(name)!.read(), 4);
    const worst = Math.max(...found.map((value, k) => Math.abs(value - expected[4 * i + k]!)));
    assert.ok(worst <= 1e-5, `${name}: a running value is off by ${worst}`);
  }
  await expectGradients('batch', rest.parameters, named, 2);
  model.dispose();
});

test.run();
