/** A training step whose shapes were seen before creates nothing on the device: no pipeline, no buffer, no bind group. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GradientSums } from '../../src/engine/gradientSums.ts';
import type { TrainingConfig } from '../../src/model/config.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { boundGradients } from '../../src/run/training/boundGradients.ts';
import { makeOptimizer } from '../../src/run/training/makeOptimizer.ts';
import { averageOf } from '../../src/run/training/weightAverage.ts';
import { sharedGpu } from '../harness.ts';
import { tinyRun } from '../run/tinyRun.ts';

for (const [imagesPerStep, kind] of [
  [1, 'sgd'],
  [2, 'sgd'],
  [3, 'sgd'],
  [1, 'adamw'],
] as const)
  test(`steps of ${imagesPerStep} images of one size with ${kind}, with other boxes every time`, async () => {
    const gpu = await sharedGpu();
    const { config, dataset } = await tinyRun();
    const model = new FasterRcnn(gpu, config.detector, 1);
    const training: TrainingConfig = {
      ...config.training,
      ...(kind === 'adamw' && { optimizer: kind, clipNorm: 1, clipValue: 1, ema: 0.9 }),
    };
    const optimizer = makeOptimizer(model.parameters, training);
    const average = averageOf(model, training);
    const samples = await Promise.all(
      dataset.samples.slice(0, 7).map(async (sample) => ({ boxes: sample.boxes, pixels: await sample.load() })),
    );
    const sums = new GradientSums(Object.values(model.parameters));
    let drawn = 0;
    const step = async (): Promise<void> => {
      for (let place = 0; place < imagesPerStep; place++)
        sums.add(place, () =>
          gpu.scope(() => {
            const { boxes, pixels } = samples[drawn++ % samples.length]!;
            const image = model.prepare(pixels);
            const losses = model.losses(image, model.truth(boxes, image), { random: true, seed: drawn });
            model.total(losses).backward({ free: true });
          }),
        );
      sums.finish();
      boundGradients(Object.values(model.parameters), training, imagesPerStep);
      optimizer.step(imagesPerStep);
      average?.update();
      await gpu.finish();
    };
    const created = () => {
      const { pipelines, buffersCreated, bindGroupsCreated } = gpu.statistics();
      return { pipelines, buffersCreated, bindGroupsCreated };
    };
    // The first makes the gradients, which leaves other buffers waiting than the second finds. Where buffers are taken by
    // best fit, the second may lack some and make them, and the third is the first to choose among all.
    for (let i = 0; i < 3; i++) await step();
    const before = created();
    for (let i = 0; i < 6; i++) await step();
    assert.equal(created(), before);
    sums.dispose();
    average?.dispose();
    optimizer.dispose();
    model.dispose();
  });

test.run();
