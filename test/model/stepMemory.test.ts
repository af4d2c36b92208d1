/** What a training step's buffers take beside what its tensors need at once. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Sgd } from '../../src/index.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { openGpu } from '../../src/node.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { heldBytes } from '../harness.ts';

test("the demo's step on pictures of three sizes: 1.25 times as much, and in the end nothing is made", async () => {
  const gpu = await openGpu();
  const { config, dataset } = await configureRun({ preset: 'demo' });
  const model = new FasterRcnn(gpu, config.detector, 1);
  const optimizer = new Sgd(Object.values(model.parameters), config.training);
  const held = heldBytes(gpu);
  const sample = dataset.samples[0]!;
  const { width, height, rgba } = await sample.load();
  const sizes = [0.75, 1, 0.9].map((part) => Math.round(part * height));
  const step = (rows: number): void => {
    optimizer.zeroGrad();
    gpu.scope(() => {
      const image = model.prepare({ width, height: rows, rgba: rgba.slice(0, 4 * width * rows) });
      const losses = model.losses(image, model.truth(sample.boxes, image), { random: true, seed: 1 });
      model.total(losses).backward({ free: true });
    });
  };
  const parameters = Object.values(model.parameters);
  const gradients = () => Promise.all(parameters.map(({ grad }) => grad!.read()));
  step(sizes[0]!);
  const first = await gradients(); // computed in buffers that fit exactly
  const created = () => {
    const { pipelines, buffersCreated, bindGroupsCreated } = gpu.statistics();
    return { pipelines, buffersCreated, bindGroupsCreated };
  };
  let before = created();
  for (let round = 0; round < 4; round++) {
    before = created();
    for (const rows of sizes) {
      step(rows);
      await gpu.finish();
    }
  }
  assert.equal(created(), before);
  step(sizes[0]!);
  assert.equal(await gradients(), first);
  const { peakBytes } = gpu.statistics();
  assert.ok(held() <= 1.25 * peakBytes, `${held()} bytes for ${peakBytes}`);
  gpu.close();
});

test.run();
