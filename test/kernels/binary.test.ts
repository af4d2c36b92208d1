import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BINARY, binaryBackwardReference, type BinaryName, binaryReference } from '../../src/kernels/binary.ts';
import {
  binaryBackwardCheck,
  binaryForwardCheck,
  repeatedLayout,
  sameLayout,
  stridedLayout,
} from '../../src/kernels/checks/binary.ts';
import { mergeAxes, repeatedStrides } from '../../src/kernels/strides.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

const VIEW = { outer: 3, channels: 5, inner: 7 };
const LAYOUTS = [
  sameLayout(7),
  sameLayout(1025),
  ...(['a', 'b'] as const).flatMap((side) => [
    repeatedLayout(side, 'channels', VIEW),
    repeatedLayout(side, 'ends', VIEW),
    repeatedLayout(side, 'channels', { outer: 1, channels: 1, inner: 4099 }),
  ]),
  stridedLayout([3, 1], [1, 4]),
  stridedLayout([2, 1, 5, 1, 3], [2, 4, 1, 6, 3]),
];
testChecks(
  LAYOUTS.flatMap((layout) => [binaryForwardCheck('subtract', layout), binaryBackwardCheck('divide', 'b', layout)]),
);

for (const name of Object.keys(BINARY) as BinaryName[]) {
  testChecks([sameLayout(333), stridedLayout([7, 1, 3], [1, 5, 3])].map((layout) => binaryForwardCheck(name, layout)));
  if (!BINARY[name].gradients) continue;
  for (const side of ['a', 'b'] as const) {
    testChecks([binaryBackwardCheck(name, side, sameLayout(333))]);

    test(`${name}: the written-out gradient of ${side} is that of the function`, () => {
      const positive = (seed: number) => Float64Array.from(randomArray(31, seed), (x) => Math.abs(x) + 0.3);
      const [a, b, dy] = [positive(1), positive(2), Float64Array.from(randomArray(31, 3))];
      const f = (x: Float64Array) =>
        weighted(side === 'a' ? binaryReference(name, x, b) : binaryReference(name, a, x), dy);
      expectGradient(binaryBackwardReference(name, side, dy, a, b), f, side === 'a' ? a : b);
    });
  }
}

test('axes that both tensors walk as one are merged', () => {
  const merged = (a: number[], b: number[], shape: number[]) =>
    mergeAxes({ extents: shape, strides: [repeatedStrides(a, shape), repeatedStrides(b, shape)] });
  assert.equal(merged([2, 3, 4], [2, 3, 4], [2, 3, 4]), { extents: [24], strides: [[1], [1]] });
  assert.equal(merged([3, 1], [4], [3, 4]), { extents: [3, 4], strides: [[1, 0], [0, 1]] }); // prettier-ignore
  assert.equal(merged([2, 3, 1, 1], [4, 5], [2, 3, 4, 5]), { extents: [6, 20], strides: [[1, 0], [0, 1]] }); // prettier-ignore
  assert.equal(merged([], [], []), { extents: [1], strides: [[0], [0]] });
});

test.run();
