/**
 * One-stage detection (paper, table 10): every anchor is classified, none is proposed. Weights of the head are zero, so its
 * biases alone say what every window scores.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { detectImage, FasterRcnn, type DetectorConfig } from '../../src/index.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { POOLED_DETECTOR, ramp } from './pooledBackbone.ts';

/** Probabilities of the background, of class 1 and of class 2, for all windows. */
const P = [0.5, 0.1, 0.4];

async function oneStage(change: Partial<DetectorConfig> = {}): Promise<FasterRcnn> {
  const config: DetectorConfig = { ...POOLED_DETECTOR, stages: 1, ...change };
  const model = new FasterRcnn(await sharedGpu(), config, 1);
  for (const [name, parameter] of Object.entries(model.parameters))
    if (name.startsWith('head.')) parameter.write(new Float32Array(parameter.size));
  model.parameters['head.cls_score.bias']!.write(P.map(Math.log));
  return model;
}

/** The corners of the windows of a map's row or column, in pixels of the input: 16 wide, 4 apart, clipped to 32. */
const spans = Array.from({ length: 8 }, (_, i) => [Math.max(0, 4 * i - 6), Math.min(31, 4 * i + 9)] as const);

test('the detections are the windows that a class scores in, in pixels of the original image', async () => {
  // 16 x 16 pixels, twice as large for the network. Class 1 stays below the floor.
  const { test: limits } = POOLED_DETECTOR;
  const model = await oneStage({ test: { ...limits, scoreThreshold: 0.2 } });
  const found = await detectImage(model, ramp(16, 16));
  assert.is(found.length, 64);
  assert.ok(found.every(({ classIndex }) => classIndex === 2));
  expectClose(
    found.map(({ score }) => score),
    Array.from({ length: 64 }, () => 0.4),
    { atol: 0, rtol: 1e-6, what: 'scores' },
  );
  const last = (x: number): number => Math.min(15, x / 2);
  const windows = spans.flatMap(([y1, y2]) => spans.map(([x1, x2]) => [x1 / 2, y1 / 2, last(x2), last(y2)]));
  expectClose(
    found.flatMap(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]),
    windows.flat(),
    { atol: 1e-4, rtol: 0, what: 'boxes' },
  );
  model.dispose();
});

test('windows that tie with the last detection that is kept are kept too', async () => {
  const model = await oneStage({ test: { scoreThreshold: 0.2, nmsThreshold: 1, maxDetections: 40 } });
  assert.is((await detectImage(model, ramp(16, 16))).length, 64);
  model.dispose();
});

test('the loss is the head’s alone, on all windows and the objects', async () => {
  const { head } = POOLED_DETECTOR;
  const model = await oneStage({ head: { ...head, batch: 100, foregroundFraction: 1 } });
  const { gpu } = model;
  const losses = gpu.scope(() => {
    const image = model.prepare(ramp(32, 32));
    // The window of column 4 and row 3: it and the four beside it (192 of 320 pixels) overlap by a half or more, and the
    // object is a candidate itself. Of 65 six are of its class.
    const truth = model.truth([{ x1: 10, y1: 6, x2: 25, y2: 21, classIndex: 2 }], image);
    const losses = model.losses(image, truth, { random: true, seed: 1 });
    model.total(losses).backward();
    return losses;
  });
  const values = await Promise.all(Object.values(losses).map(async (term) => (await term.read())[0]!));
  const [rpnCls, rpnBox, headCls, headBox] = values as [number, number, number, number];
  assert.equal([rpnCls, rpnBox], [0, 0]);
  expectClose([headCls], [-(6 * Math.log(0.4) + 59 * Math.log(0.5)) / 65], { atol: 0, rtol: 1e-5, what: 'head_cls' });
  // Two windows are off by a quarter of their width, two of their height: t / 0.1 = 2.5, smooth L1 2 each, over 65 RoIs.
  expectClose([headBox], [(4 * 2) / 65], { atol: 0, rtol: 1e-5, what: 'head_box' });
  const trained = Object.keys(model.parameters).filter((name) => model.parameters[name]!.grad);
  assert.ok(trained.length === 4 && trained.every((name) => name.startsWith('head.')), String(trained));
  Object.values(losses).forEach((loss) => loss.dispose());
  model.dispose();
});

test.run();
