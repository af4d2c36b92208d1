/**
 * Training on a feature pyramid against torchvision (scripts/goldens/detectors.py): the gradients of every parameter in the first
 * step, and the four losses of five steps of SGD. The samplers take the first candidates by index on both sides. In the sixth step
 * two proposals of nearly the same score change places, one of which is in the mini-batch, and from there on the two differ.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeOptimizer, LOSS_TERMS } from '../../src/index.ts';
import { loadSafetensors } from '../../src/node.ts';
import { PyramidRcnn } from '../../src/model/pyramidRcnn.ts';
import { resnet18Fpn } from '../../src/model/backbones/resnetPyramids.ts';
import { pyramidDetector, PRESETS } from '../../src/run/config/presets.ts';
import { sharedGpu } from '../harness.ts';
import { fill, picture, sampled } from './seeded.ts';
import { torchvisionName } from './torchvisionNames.ts';

const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/torchvision-detectors.safetensors', import.meta.url).pathname,
);
const golden = (name: string): number[] => [...tensors[`train/${name}`]!.data];
const {
  seed,
  heads,
  size,
  sides,
  classes,
  boxes,
  batch,
  steps: _,
  parameters,
  ...rates
} = JSON.parse(metadata['train']!);

const share = (actual: number, expected: number): number => Math.abs(actual - expected) / Math.abs(expected);

/** Of the twenty in the file. */
const STEPS = 5;

test('gradients of the first step, losses of five steps', async () => {
  const gpu = await sharedGpu();
  const preset = pyramidDetector(resnet18Fpn);
  const model = new PyramidRcnn(
    gpu,
    {
      ...preset,
      input: { ...preset.input, shorterSide: sides[0], longerSide: sides[1] },
      rpn: { ...preset.rpn, batch: batch[0] },
      head: { ...preset.head, batch: batch[1] },
      classes: ['__background__', ...Array.from({ length: classes - 1 }, (_, i) => `class ${i + 1}`)],
    },
    0,
  );
  const named = new Map(Object.values(model.parameters).map((tensor) => [torchvisionName(tensor.name, ''), tensor]));
  for (const [name, tensor] of named) tensor.write(fill(name, tensor.shape, seed, heads));
  const trained = [...named].filter(([, { requiresGrad }]) => requiresGrad).map(([name]) => name);
  assert.equal(trained.sort(), [...parameters].sort(), 'the same parameters are trained');

  const optimizer = makeOptimizer(model.parameters, { ...PRESETS['resnet50-fpn']!.training, ...rates });
  const image = model.prepare(picture(seed, size[0], size[1]));
  const truth = model.truth(
    boxes.map(([x1, y1, x2, y2, classIndex]: number[]) => ({ x1, y1, x2, y2, classIndex })),
    image,
  );
  const expected = golden('losses');
  for (let step = 0; step < STEPS; step++) {
    const losses = gpu.scope(() => {
      optimizer.zeroGrad();
      const terms = model.losses(image, truth, { random: false, seed: 0 });
      model.total(terms).backward();
      return LOSS_TERMS.map((term) => terms[term]);
    });
    const values = await Promise.all(losses.map(async (loss) => (await loss.read())[0]!));
    losses.forEach((loss) => loss.dispose());
    values.forEach((value, i) => {
      const off = share(value, expected[4 * step + i]!);
      assert.ok(off < 1e-3, `step ${step}: ${LOSS_TERMS[i]} is ${value}, torchvision's ${expected[4 * step + i]}`);
    });
    if (step === 0) {
      const gradients = golden('gradients');
      const sizes = golden('rms');
      for (const [i, name] of (parameters as string[]).entries()) {
        const found = sampled(await named.get(name)!.grad!.read(), 8);
        const worst = Math.max(...found.map((value, k) => Math.abs(value - gradients[8 * i + k]!)));
        assert.ok(
          worst <= 1e-3 * sizes[i]!,
          `${name}: a gradient is off by ${worst / sizes[i]!} of their root mean square`,
        );
      }
    }
    optimizer.learningRate = rates.learningRate;
    optimizer.step();
  }
  optimizer.dispose();
  model.dispose();
});

test.run();
