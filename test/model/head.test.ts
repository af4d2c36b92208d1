/** The detection head at test time: many regions in parts, nothing dropped. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { detectImage, dropout, FasterRcnn, relu, scale, type Tensor } from '../../src/index.ts';
import { chain } from '../../src/model/backbones/backbone.ts';
import { detectorBackbone } from '../../src/model/backbones/index.ts';
import type { ScaleMaps } from '../../src/model/featureExtractor.ts';
import { DetectionHead } from '../../src/model/head.ts';
import { pooledRegions } from '../../src/model/regionFeatures.ts';
import { pixelBoxes } from '../../src/kernels/checks/inputs.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';
import { pooledBackbone, POOLED_DETECTOR, ramp } from './pooledBackbone.ts';
import { registered } from './registered.ts';

test('RoIs that pass through the layers in several batches score as in one', async () => {
  const gpu = await sharedGpu();
  const model = new FasterRcnn(gpu, POOLED_DETECTOR, 1);
  for (const rows of [513, 1100]) {
    await gpu.scope(async () => {
      const map = gpu.tensor(randomArray(3 * 56 * 80, 1), [1, 3, 56, 80]);
      const maps = { maps: [map], scales: [1] };
      const rois = gpu.tensor(pixelBoxes(rows, 2, 1, 10, 79), [rows, 5]);
      const [parts, whole] = gpu.withoutGradients(
        () => [model.head.score(maps, rois), model.head.forward(maps, rois, null)] as const,
      );
      for (const name of ['logits', 'deltas'] as const) {
        assert.equal(parts[name].shape, whole[name].shape);
        const expected = await whole[name].read();
        assert.ok(new Set(expected).size > rows, 'regions that score alike would prove nothing');
        const atol = 1e-5 * Math.max(...expected.map(Math.abs));
        expectClose(await parts[name].read(), expected, { atol, rtol: 0, what: `${rows} ${name}` });
      }
    });
  }
  model.dispose();
});

test('where a region is large, fewer RoIs pass through the layers at once', async () => {
  const gpu = await sharedGpu();
  const taken: number[] = [];
  const backbone = {
    ...detectorBackbone(gpu, POOLED_DETECTOR, 1),
    channels: 1024,
    regionParameters: {},
    regionFeatures: 2,
    regions: (pooled: Tensor) => {
      taken.push(pooled.size);
      return gpu.zeros([pooled.shape[0]!, 2]);
    },
  };
  const align = { ...POOLED_DETECTOR.head, pooled: 14, pooling: 'align', samplingRatio: 1 } as const;
  const regions = pooledRegions(backbone, { ...POOLED_DETECTOR, head: align });
  const head = new DetectionHead<ScaleMaps>(gpu, POOLED_DETECTOR, regions, 1);
  gpu.scope(() =>
    gpu.withoutGradients(() => head.score({ maps: [gpu.zeros([1, 1024, 2, 2])], scales: [1] }, gpu.zeros([300, 5]))),
  );
  const total = taken.reduce((sum, n) => sum + n);
  assert.is(total, 300 * 1024 * 14 * 14);
  assert.ok(Math.max(...taken) <= 2 ** 24, `${taken}`);
  assert.is(taken.length, 4);
  for (const tensor of Object.values({ ...head.parameters, ...backbone.featureParameters })) tensor.dispose();
});

test('a layer that returns its input hands it on', async () => {
  const gpu = await sharedGpu();
  const same = (x: Tensor): Tensor => x;
  await gpu.scope(async () => {
    const x = gpu.tensor([1, -2], [2]);
    const y = chain(x, [same, relu, same, same, (x) => scale(x, 3)]);
    assert.equal([...(await y.read())], [3, 0]);
    assert.equal([...(await chain(x, [relu, same]).read())], [1, 0]);
    assert.not.ok(x.freed);
  });
});

// 64 windows, and 576, which pass through the layers in parts.
for (const side of [32, 96])
  test(`dropout is for training: a detection has none (${side} pixels)`, async () => {
    const gpu = await sharedGpu();
    const seeds: (number | undefined)[] = [];
    const backbone = registered(
      pooledBackbone((flat, training) => {
        seeds.push(training?.seed);
        return training ? dropout(flat, { p: 0.5, seed: training.seed }) : flat;
      }),
    );
    const input = { ...POOLED_DETECTOR.input, shorterSide: side };
    const model = new FasterRcnn(gpu, { ...POOLED_DETECTOR, backbone, input, stages: 1 }, 1);
    const picture = ramp(32, 32);
    const truth = [{ x1: 4, y1: 4, x2: 20, y2: 20, classIndex: 1 }];
    const detections = await detectImage(model, picture);
    assert.ok(detections.length > 0);
    assert.equal(await detectImage(model, picture), detections);
    assert.equal(new Set(seeds), new Set([undefined]));
    seeds.length = 0;
    gpu.scope(() => {
      const image = model.prepare(picture);
      model.losses(image, model.truth(truth, image), { random: true, seed: 5 });
    });
    assert.equal(seeds, [5]);
    model.dispose();
  });

test.run();
