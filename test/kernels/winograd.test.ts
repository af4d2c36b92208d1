import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convShape } from '../../src/kernels/checks/matmul.ts';
import {
  filterCheck,
  filterGradientCheck,
  gatherCheck,
  scatterCheck,
  tileUniforms,
  winogradChecks,
} from '../../src/kernels/checks/winograd.ts';
import { convForwardReference, convGradientsReference } from '../../src/kernels/conv2d.ts';
import { matmulReference, matmulShape } from '../../src/kernels/matmul.ts';
import {
  pointsOf,
  winogradFilterGradientReference,
  winogradFilterReference,
  winogradGatherReference,
  winogradScatterReference,
} from '../../src/kernels/winograd.ts';
import { expectClose, randomArray } from '../harness.ts';
import { testChecks } from './runCheck.ts';

testChecks(winogradChecks.map((check) => check()));

test('kernels of different texts have different names, by which a profile lists them', () => {
  const names = new Map<string, string>();
  for (const { kernel } of winogradChecks.map((check) => check())) {
    assert.is(names.get(kernel.name) ?? kernel.code, kernel.code, kernel.name);
    names.set(kernel.name, kernel.code);
  }
  assert.ok(names.size > 12);
});

for (const m of [2, 4] as const) {
  // Maps smaller than a tile, of one channel; padding 0 and 2; channels of no multiple of a workgroup.
  const small = tileUniforms(m, [1, 1, 1, 1], 1, [0, 4]);
  const wide = tileUniforms(m, [1, 67, 5, 19], 2, [0, 8]);
  testChecks([
    gatherCheck(m, 'input', 'channels-tiles', 1, small),
    gatherCheck(m, 'input', 'tiles-channels', 1, wide),
    gatherCheck(m, 'output', 'tiles-channels', 1, tileUniforms(m, [1, 67, 5, 19], 0, [0, 8])),
    scatterCheck(m, 1, tileUniforms(m, [1, 67, 5, 19], 0, [2, 4]), true, 'assign'),
    filterCheck(m, false, [1, 1]),
    filterGradientCheck(m, [1, 1], true),
  ]);

  test(`F(${m}x${m}, 3x3) in float64 is the convolution and its gradients`, () => {
    const shape = convShape([2, 3, 7, 9], [5, 3, 3], 1, 1);
    const { B, C, H, W, K, OH, OW } = shape;
    const x = randomArray(B * C * H * W, 1);
    const w = randomArray(K * C * 9, 2);
    const dy = randomArray(B * K * OH * OW, 3);
    const points = pointsOf(m);
    const tiles = tileUniforms(m, [B, C, H, W], 1, [0, 0]);
    const count = tiles.total;
    const input = { ...tiles, count };
    const output = { ...input, channels: K, pad: 0 };

    const v = winogradGatherReference(x, m, 'input', 'channels-tiles', input);
    const u = winogradFilterReference(w, m, false, [K, C]);
    const left = { am: 1, ak: K, az: C * K };
    const right = { bk: count, bn: 1, bz: C * count };
    const product = matmulShape({
      M: K,
      N: count,
      K: C,
      ...left,
      ...right,
      cm: count,
      cn: 1,
      cz: K * count,
      batch: points,
    });
    const sums = matmulReference(u, v, null, new Float64Array(points * K * count), product, 'assign');
    const y = new Float64Array(B * K * OH * OW);
    winogradScatterReference(sums, null, 'assign', y, m, output);
    expectClose(y, convForwardReference(x, w, null, shape), { atol: 1e-10, rtol: 0, what: 'y' });

    const outputs = winogradGatherReference(dy, m, 'output', 'tiles-channels', output);
    const filters = matmulShape({
      M: C,
      N: K,
      K: count,
      am: count,
      ak: 1,
      az: C * count,
      bk: K,
      bn: 1,
      bz: count * K,
      cm: K,
      cn: 1,
      cz: C * K,
      batch: points,
    });
    const sum = matmulReference(v, outputs, null, new Float64Array(points * K * C), filters, 'assign');
    const dw = winogradFilterGradientReference(sum, new Float64Array(K * C * 9), m, [K, C]);
    expectClose(dw, convGradientsReference(x, w, dy, shape).dw, { atol: 1e-10, rtol: 0, what: 'dw' });
  });
}

test.run();
