/** RoI warping: exact derivatives, in the map and in the RoI. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../src/kernels/rng.ts';
import { roiWarpBackwardReference, roiWarpForward, roiWarpReference } from '../../src/kernels/roiWarp.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';

const shape = {
  images: 2,
  firstImage: 0,
  channels: 3,
  height: 7,
  width: 9,
  roiCount: 6,
  pooledH: 4,
  pooledW: 5,
  scale: 1 / 16,
};
const x = Float64Array.from(randomArray(2 * 3 * 63, 1));
const dy = Float64Array.from(randomArray(6 * 3 * 20, 2));

/** Inside, across the border, reversed, off the map; samples keep 1/100 of a cell from every kink. */
function smoothRois(): Float64Array {
  const random = new Random(3);
  const isSmooth = (from: number, to: number, bins: number) =>
    Array.from({ length: bins }, (_, p) => ((from + ((to - from) * p) / bins) / 16) * 2).every(
      (s) => Math.abs(s - Math.round(s)) > 0.02,
    );
  const span = (length: number, bins: number): [number, number] => {
    for (;;) {
      const [from, to] = [random.uniform(-2, length + 2) * 16, random.uniform(-2, length + 2) * 16] as const;
      if (isSmooth(from, to, bins)) return [from, to];
    }
  };
  return Float64Array.from(
    Array.from({ length: 6 }, (_, r) => {
      const [x1, x2] = span(9, 5);
      const [y1, y2] = span(7, 4);
      return [r % 2, x1, y1, x2, y2];
    }).flat(),
  );
}
const rois = smoothRois();
const { dx, drois } = roiWarpBackwardReference(dy, x, rois, shape);

test('gradient in the map: central differences', () => {
  expectGradient(dx, (moved) => weighted(roiWarpReference(moved, rois, shape), dy), x);
});

test('gradient in the RoIs: central differences, none in the image index', () => {
  const corners = (all: Float64Array) => all.filter((_, i) => i % 5 > 0);
  const withCorners = (moved: Float64Array) =>
    rois.map((value, i) => (i % 5 > 0 ? moved[Math.floor(i / 5) * 4 + (i % 5) - 1]! : value));
  expectGradient(
    corners(drois),
    (moved) => weighted(roiWarpReference(x, withCorners(moved), shape), dy),
    corners(rois),
  );
  assert.ok([0, 1, 2, 3, 4, 5].every((r) => drois[r * 5] === 0));
  assert.ok(drois.some((value) => Math.abs(value) > 1e-3));
});

test("samples stand at the left end of their bins; a RoI's samples on cell centres copy the map", async () => {
  // Columns 2, 3, 4 and rows 1, 2 of a map with stride 16.
  const one = {
    images: 1,
    firstImage: 0,
    channels: 1,
    height: 5,
    width: 6,
    roiCount: 1,
    pooledH: 2,
    pooledW: 3,
    scale: 1 / 16,
  };
  const map = Float32Array.from({ length: 30 }, (_, i) => i);
  const { y } = await launch(
    await sharedGpu(),
    roiWarpForward,
    { x: map, rois: Float32Array.of(0, 32, 16, 80, 48), y: new Float32Array(6) },
    one,
  );
  expectClose(y, [8, 9, 10, 14, 15, 16], { atol: 1e-5, rtol: 0 });
});

test('within half a cell of the map a sample takes the border, farther out 0', () => {
  const one = {
    images: 1,
    firstImage: 0,
    channels: 1,
    height: 1,
    width: 4,
    roiCount: 1,
    pooledH: 1,
    pooledW: 1,
    scale: 1,
  };
  const at = (s: number) => roiWarpReference(Float64Array.of(5, 6, 7, 8), Float64Array.of(0, s, 0, s, 0), one)[0];
  assert.equal([-0.6, -0.4, 0, 0.25, 2.5, 3.4, 3.6].map(at), [0, 5, 5, 5.25, 7.5, 8, 0]);
});

test.run();
