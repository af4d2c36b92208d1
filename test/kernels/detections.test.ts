/** Detections at test time, from the head's outputs to the final list. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DETECTIONS, headOutputs } from '../../src/kernels/checks/detections.ts';
import {
  type ReferenceDetection,
  type DetectionParams,
  detectionsReference,
  detectionsScratch,
  recordDetections,
} from '../../src/kernels/detections.ts';
import { expectClose } from '../harness.ts';
import { eachVariant, runStage } from './stage.ts';

type Outputs = ReturnType<typeof headOutputs>;

async function detect(outputs: Outputs, count: number, params: DetectionParams): Promise<ReferenceDetection[]> {
  const [result, wide] = await eachVariant((variant) =>
    runStage(
      { ...outputs, roiCount: Uint32Array.of(count) },
      detectionsScratch(params),
      { detections: new Float32Array(params.outputRows * 6), count: new Uint32Array(1) },
      (run, buffers) => recordDetections(run, buffers, { ...params, variant }),
    ),
  );
  assert.equal(wide, result, 'both variants give the same detections');
  const rows = Array.from({ length: params.outputRows }, (_, k) => [...result.detections.subarray(k * 6, k * 6 + 6)]);
  const found = result.count[0]!;
  assert.ok(
    rows
      .slice(found)
      .flat()
      .every((value) => value === 0),
    'rows beyond the count are zero',
  );
  return rows
    .slice(0, found)
    .map(([x1, y1, x2, y2, score, label]) => ({ box: [x1!, y1!, x2!, y2!], score: score!, class: label! }));
}

function reference(outputs: Outputs, count: number, params: DetectionParams): ReferenceDetection[] {
  const { rois, probabilities, deltas } = outputs;
  return detectionsReference(
    Float64Array.from(rois),
    count,
    Float64Array.from(probabilities),
    Float64Array.from(deltas),
    params,
  );
}

function expectSame(ours: ReferenceDetection[], expected: ReferenceDetection[]): void {
  assert.equal(
    ours.map((d) => d.class),
    expected.map((d) => d.class),
  );
  expectClose(
    ours.map((d) => d.score),
    expected.map((d) => d.score),
    { atol: 0, rtol: 1e-7, what: 'scores' },
  );
  expectClose(
    ours.flatMap((d) => [...d.box]),
    expected.flatMap((d) => [...d.box]),
    { atol: 2e-4, rtol: 1e-5, what: 'boxes' },
  );
}

const CASES: [string, number, Partial<DetectionParams>][] = [
  ['all RoIs', 70, {}],
  ['some RoIs', 33, {}],
  ['at most ten', 70, { maxDetections: 10 }],
  ['continuous coordinates', 70, { plusOne: 0 }],
  ['300 RoIs, 21 classes', 300, { roiCapacity: 300, classes: 21 }],
  ['two classes', 70, { classes: 2 }],
];
for (const [name, count, change] of CASES)
  test(`against the reference: ${name}`, async () => {
    const params = { ...DETECTIONS, ...change };
    const outputs = headOutputs(params.roiCapacity, params.classes);
    const expected = reference(outputs, count, params);
    assert.ok(expected.length >= Math.min(params.maxDetections, 20));
    expectSame(await detect(outputs, count, params), expected);
  });

test('no RoI, or no score above the threshold: no detection', async () => {
  const outputs = headOutputs(70, 5);
  assert.equal(await detect(outputs, 0, DETECTIONS), []);
  assert.equal(
    await detect({ ...outputs, probabilities: outputs.probabilities.fill(0.05) }, 70, {
      ...DETECTIONS,
      scoreThreshold: 0.05,
    }),
    [],
  );
});

test('detections that tie with the last one are kept beyond the limit', async () => {
  // Forty RoIs far apart, all of the same probability: nothing is suppressed.
  const roiCapacity = 40;
  const rois = Float32Array.from(
    Array.from({ length: roiCapacity }, (_, r) => [
      0,
      (r % 8) * 40,
      Math.floor(r / 8) * 40,
      (r % 8) * 40 + 20,
      Math.floor(r / 8) * 40 + 20,
    ]).flat(),
  );
  const outputs = {
    rois,
    probabilities: new Float32Array(roiCapacity * 2).fill(0.5),
    deltas: new Float32Array(roiCapacity * 8),
  };
  const params = {
    ...DETECTIONS,
    roiCapacity,
    classes: 2,
    scale: 1,
    imageHeight: 400,
    imageWidth: 400,
    maxDetections: 10,
    outputRows: 64,
  };
  assert.is((await detect(outputs, roiCapacity, params)).length, 40);
  assert.is((await detect(outputs, roiCapacity, { ...params, outputRows: 16 })).length, 16);
  outputs.probabilities[2 * 7 + 1] = 0.75;
  const [first, ...rest] = await detect(outputs, roiCapacity, params);
  assert.is(first!.score, 0.75);
  expectClose(first!.box, [280, 0, 301, 21], { atol: 1e-3, rtol: 0 });
  assert.is(rest.length, 39);
});

test('one box may be found in several classes; suppression is within a class', async () => {
  const rois = Float32Array.from([0, 16, 16, 64, 64, 0, 17, 17, 65, 65]);
  const probabilities = Float32Array.from([0.1, 0.5, 0.4, 0.1, 0.3, 0.6]);
  const params = { ...DETECTIONS, roiCapacity: 2, classes: 3 };
  const found = await detect({ rois, probabilities, deltas: new Float32Array(24) }, 2, params);
  assert.equal(
    found.map((d) => d.class),
    [2, 1],
  );
  expectClose(
    found.map((d) => d.score),
    [0.6, 0.5],
    { atol: 1e-7, rtol: 0 },
  );
  expectClose(found[1]!.box, [10, 10, 41, 41], { atol: 1e-4, rtol: 0 });
});

test.run();
