import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  convFilterGradientCheck,
  convFilterGradientPartialCheck,
  convForwardCheck,
  convInputGradientCheck,
  convShape,
  sumPartialsCheck,
} from '../../src/kernels/checks/matmul.ts';
import { convForwardReference, convGradientsReference, type ConvShape } from '../../src/kernels/conv2d.ts';
import type { KernelCheck } from '../../src/kernels/checks/check.ts';
import type { Tile } from '../../src/kernels/matmulCore.ts';
import { launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { runCheck, testChecks } from './runCheck.ts';
import { REGISTER_TILES, subgroupTiles } from './tiles.ts';

const SHAPES: readonly ConvShape[] = [
  convShape([1, 1, 1, 1], [1, 1, 1], 1, 0),
  convShape([1, 7, 5, 11], [13, 1, 1], 1, 0),
  convShape([2, 3, 7, 9], [17, 3, 3], 1, 1),
  convShape([1, 17, 6, 5], [2, 3, 3], 1, 0),
  convShape([2, 5, 9, 8], [3, 3, 3], 2, 1),
  convShape([1, 3, 13, 8], [9, 5, 5], 2, 2),
  convShape([2, 2, 11, 17], [5, 7, 7], 2, 3),
  convShape([1, 3, 13, 11], [4, 2, 3], 3, 2),
  convShape([1, 2, 8, 7], [3, 3, 3], 3, 3), // the outermost filter positions see padding alone
  convShape([1, 2, 7, 7], [3, 1, 1], 2, 0), // half the input is read by no filter: its gradient is 0
];

const checks = (tile: Tile, shape: ConvShape): KernelCheck[] => [
  convForwardCheck(tile, shape, true, true),
  convForwardCheck(tile, shape, false),
  convInputGradientCheck(tile, shape),
  convInputGradientCheck(tile, shape, true),
  convFilterGradientCheck(tile, shape),
  convFilterGradientPartialCheck(tile, shape, 2),
];

for (const tile of REGISTER_TILES) testChecks(SHAPES.flatMap((shape) => checks(tile, shape)));

test('the subgroup variant, wherever the device has subgroups of one fixed size', async () => {
  for (const tile of await subgroupTiles())
    for (const shape of SHAPES) for (const check of checks(tile, shape)) await runCheck(check);
});

// 2 x 7 lines: equal shares, unequal shares, more parts than shares (empty parts), one line a part, more parts than lines
const LINES = convShape([2, 3, 7, 6], [5, 3, 3], 1, 1);
testChecks(
  [1, 2, 3, 4, 5, 11, 14, 15].map((splits) => convFilterGradientPartialCheck(REGISTER_TILES[0]!, LINES, splits)),
);
testChecks(
  [
    [1, 1],
    [1, 32],
    [67, 3],
    [4099, 5],
  ].flatMap(([n, parts]) => [
    sumPartialsCheck([1, n!], parts!, 'assign'),
    sumPartialsCheck([1, n!], parts!, 'accumulate'),
    sumPartialsCheck([n!, 3], parts!, 'bias'),
    sumPartialsCheck([3, n!], parts!, 'rowBias', true),
  ]),
);

test('the parts of a filter gradient, added, are the whole', async () => {
  const gpu = await sharedGpu();
  const whole = convFilterGradientCheck(REGISTER_TILES[0]!, LINES);
  const parted = convFilterGradientPartialCheck(REGISTER_TILES[0]!, LINES, 4);
  const { dw: partial } = await launch(gpu, parted.kernel, parted.buffers, parted.uniforms);
  const n = whole.buffers['dw']!.length;
  const { kernel } = sumPartialsCheck([1, n], 4, 'accumulate');
  const sums = {
    ...whole,
    name: whole.name + ' in parts',
    kernel,
    buffers: { partial: partial!, y: whole.buffers['dw']! },
  };
  const { y } = await launch(gpu, kernel, sums.buffers, { n, parts: 4, columns: n });
  const expected = whole.expected['dw']!;
  y!.forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]!) < whole.atol * 2, `${i}: ${value}, ${expected[i]}`),
  );
});

test('more channels, filters and pixels than one tile of any kind', async () => {
  for (const tile of [REGISTER_TILES[0]!, ...(await subgroupTiles())])
    for (const check of checks(tile, convShape([1, 35, 19, 23], [37, 3, 3], 1, 1))) await runCheck(check);
});

test('gradients against central differences of the float64 reference', () => {
  for (const shape of [convShape([2, 2, 5, 4], [3, 3, 3], 2, 1), convShape([1, 2, 7, 5], [2, 2, 3], 3, 2)]) {
    const { B, C, H, W, K, R, S, OH, OW } = shape;
    const x = Float64Array.from(randomArray(B * C * H * W, 1));
    const w = Float64Array.from(randomArray(K * C * R * S, 2));
    const dy = Float64Array.from(randomArray(B * K * OH * OW, 3));
    const { dx, dw } = convGradientsReference(x, w, dy, shape);
    expectGradient(dx, (moved) => weighted(convForwardReference(moved, w, null, shape), dy), x);
    expectGradient(dw, (moved) => weighted(convForwardReference(x, moved, null, shape), dy), w);
  }
});

test.run();
