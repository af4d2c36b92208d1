/** Box arithmetic against golden values: the float64 functions, and the same text in a shader. */
import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Box, clipBox, decodeBox, encodeBox, iou, iouMatrix, MAX_LOG_SCALE } from '../../src/kernels/boxes.ts';
import { decodeProposals } from '../../src/kernels/proposals.ts';
import { expectClose, launch, sharedGpu } from '../harness.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8'));
const golden = read('iou');
const transform = read('bbox_transform');

/** IoU [boxes][gt] by the kernel. */
async function overlapsOnGpu(boxes: Box[], gt: Box[], plusOne: number): Promise<number[][]> {
  const { overlaps } = await launch(
    await sharedGpu(),
    iouMatrix,
    {
      boxes: Float32Array.from(boxes.flat()),
      gt: Float32Array.from(gt.flatMap((box) => [...box, 1])),
      overlaps: new Float32Array(boxes.length * gt.length),
    },
    { n: boxes.length, g: gt.length, stride: 4, offset: 0, plusOne },
  );
  return boxes.map((_, b) => gt.map((_, g) => overlaps[g * boxes.length + b]!));
}

const IOU_CASES: [name: string, a: Box[], b: Box[], plusOne: number, expected: number[][], atol: number][] = [
  ['plus1', golden.plus1.boxes, golden.plus1.query, 1, golden.plus1.expected, 5e-6],
  ['torchvision_int', golden.torchvision_int.a, golden.torchvision_int.b, 0, golden.torchvision_int.iou, 1e-4],
  ['torchvision_float', golden.torchvision_float.a, golden.torchvision_float.a, 0, golden.torchvision_float.iou, 1e-4],
  ['detectron2', golden.detectron2.a, golden.detectron2.b, 0, golden.detectron2.iou, 1e-6],
];
for (const [name, a, b, plusOne, expected, atol] of IOU_CASES)
  test(`golden IoU ${name}`, async () => {
    const what = `IoU ${name}`;
    expectClose(
      a.flatMap((box) => b.map((query) => iou(box, query, plusOne))),
      expected.flat(),
      { atol, rtol: 0, what },
    );
    expectClose((await overlapsOnGpu(a, b, plusOne)).flat(), expected.flat(), {
      atol,
      rtol: 0,
      what: `${what} on the GPU`,
    });
  });

test('golden box transform, forward and inverse in both conventions', () => {
  const each = (f: (box: Box, i: number) => Box) => transform.ex.flatMap((box: Box, i: number) => [...f(box, i)]);
  const close = { atol: 1e-8, rtol: 1e-8 };
  expectClose(
    each((box, i) => encodeBox(box, transform.gt[i], 1)),
    transform.py_targets.flat(),
    close,
  );
  expectClose(
    each((box, i) => encodeBox(box, transform.gt[i], 1)),
    transform.matlab_targets.flat(),
    close,
  );
  const roundTrip = (shrink: number) => each((box, i) => decodeBox(box, encodeBox(box, transform.gt[i], 1), 1, shrink));
  expectClose(
    each((box, i) => decodeBox(box, transform.deltas[i], 1, 0)),
    transform.py_inv.flat(),
    close,
  );
  expectClose(
    each((box, i) => decodeBox(box, transform.deltas[i], 1, 1)),
    transform.matlab_inv.flat(),
    close,
  );
  expectClose(roundTrip(0), transform.py_roundtrip_of_targets.flat(), close);
  expectClose(roundTrip(1), transform.matlab_roundtrip.flat(), close);
});

test('golden clip', () => {
  const [height, width] = transform.clip.im_hw;
  const clipped = transform.clip.boxes.map((box: Box) => clipBox(box, height, width, 1));
  assert.equal(clipped, transform.clip.expected);
});

for (const [shrink, expected] of [
  [0, transform.py_inv],
  [1, transform.matlab_inv],
] as const)
  test(`golden inverse transform on the GPU, decodeShrink ${shrink}`, async () => {
    // Five anchors on a map of one cell, moved into a large image so that nothing is clipped.
    const moved = 1000;
    const n = transform.ex.length;
    const { boxes } = await launch(
      await sharedGpu(),
      decodeProposals,
      {
        anchors: Float32Array.from(transform.ex.flat(), (x: number) => x + moved),
        logits: new Float32Array(2 * n),
        deltas: Float32Array.from(transform.deltas.flat()),
        boxes: new Float32Array(4 * n),
        scores: new Float32Array(n),
        keys: new Uint32Array(n),
      },
      {
        anchorCount: n,
        height: 1,
        width: 1,
        stride: 16,
        imageHeight: 4000,
        imageWidth: 4000,
        plusOne: 1,
        decodeShrink: shrink,
        minSize: 1,
      },
    );
    expectClose(
      boxes,
      expected.flat().map((x: number) => x + moved),
      { atol: 3e-4, rtol: 0 },
    );
  });

test("torchvision's targets with weights 10, 10, 5, 5", () => {
  const { proposals, gt, targets } = read('matcher_sampler').fast_rcnn_outputs;
  const weights = [10, 10, 5, 5];
  const ours = proposals.flatMap((box: Box, i: number) => encodeBox(box, gt[i], 0).map((t, k) => t * weights[k]!));
  expectClose(ours, targets.flat(), { atol: 1e-6, rtol: 0 });
});

const side = fc.double({ min: 1, max: 500, noNaN: true });
const corner = fc.double({ min: -200, max: 800, noNaN: true });
const box: fc.Arbitrary<Box> = fc.tuple(corner, corner, side, side).map(([x, y, w, h]) => [x, y, x + w, y + h]);
const convention = fc.constantFrom(0, 1);

test('IoU is symmetric, at most 1, and 1 for a box with itself', () => {
  fc.assert(
    fc.property(box, box, convention, (a, b, plusOne) => {
      const overlap = iou(a, b, plusOne);
      assert.ok(overlap >= 0 && overlap <= 1 + 1e-12);
      assert.ok(Math.abs(overlap - iou(b, a, plusOne)) < 1e-12);
      assert.ok(Math.abs(iou(a, a, plusOne) - 1) < 1e-12);
    }),
  );
});

test('decoding undoes encoding where decodeShrink equals plusOne', () => {
  fc.assert(
    fc.property(box, box, convention, (a, b, plusOne) => {
      const t = encodeBox(a, b, plusOne);
      fc.pre(t[2] < MAX_LOG_SCALE && t[3] < MAX_LOG_SCALE);
      expectClose(decodeBox(a, t, plusOne, plusOne), b, { atol: 1e-8, rtol: 1e-10 });
    }),
  );
});

test('a wild delta does not overflow: the bound on tw and th holds', () => {
  const [x1, , x2] = decodeBox([0, 0, 15, 15], [0, 0, 1000, 1000], 1, 0);
  expectClose([x2 - x1], [1000], { atol: 1e-9, rtol: 0 });
});

test.run();
