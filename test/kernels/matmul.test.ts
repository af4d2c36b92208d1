import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { matmulCheck, matmulChecks, transposeCheck } from '../../src/kernels/checks/matmul.ts';
import { matmul, matmulShape } from '../../src/kernels/matmul.ts';
import { MAX_WORKGROUPS } from '../../src/kernels/kernel.ts';
import { allowsTile, WORKGROUP_TILES } from '../../src/kernels/workgroupPlans.ts';
import { linear } from '../../src/index.ts';
import { launch, randomArray, sharedGpu } from '../harness.ts';
import { runCheck, testChecks } from './runCheck.ts';
import { REGISTER_TILES, subgroupTiles, vectorTiles, WORKGROUP_TILE } from './tiles.ts';

const SIZES = [
  [1, 1, 1],
  [1, 131, 7],
  [131, 1, 7],
  [16, 32, 8],
  [17, 33, 1],
  [7, 127, 101],
  [37, 257, 53],
] as const;

for (const tile of [...REGISTER_TILES, WORKGROUP_TILE]) {
  testChecks(SIZES.map((size) => matmulCheck(tile, 'assign', size)));
}
for (const epilogue of ['assign', 'bias', 'rowBias', 'accumulate'] as const) {
  for (const tile of [REGISTER_TILES[0]!, WORKGROUP_TILE]) {
    testChecks(
      [{}, { a: true }, { b: true }, { c: true }, { a: true, b: true, c: true }, { batch: 3 }].map((layout) =>
        matmulCheck(tile, epilogue, [19, 67, 23], layout),
      ),
    );
  }
}

test('four columns to a load', async () => {
  for (const tile of await vectorTiles()) {
    for (const size of SIZES) await runCheck(matmulCheck(tile, 'assign', size));
    for (const epilogue of ['bias', 'rowBias', 'accumulate'] as const) {
      await runCheck(matmulCheck(tile, epilogue, [17, 23, 23], { a: true, batch: 2 }));
      await runCheck(matmulCheck(tile, epilogue, [17, 23, 23], { c: true, batch: 2 }));
    }
    await runCheck(matmulCheck(tile, 'rowBias', [17, 23, 23], { relu: true }));
  }
});

test('the subgroup variant, wherever the device has subgroups of one fixed size', async () => {
  const [own, ...others] = await subgroupTiles();
  for (const size of SIZES) {
    for (const tile of own ? [own, ...others] : []) await runCheck(matmulCheck(tile, 'assign', size));
    if (own) await runCheck(matmulCheck(own, 'bias', size, { b: true }));
    if (own) await runCheck(matmulCheck(own, 'accumulate', size, { a: true }));
  }
});

test('the checks that run on the adapter of a user', async () => {
  for (const check of matmulChecks((await sharedGpu()).plans.device)) await runCheck(check());
});

testChecks([transposeCheck(4, 1), transposeCheck(4, 9), transposeCheck(36, 8), transposeCheck(132, 67)]);

test('a product that turns a factor round first has the bits of one that does not', async () => {
  const gpu = await sharedGpu();
  // [rows, inputs, outputs]: b is turned, a is turned; `low` rows are too few, or no multiple of four.
  for (const [rows, inputs, outputs, low] of [
    [130, 37, 68, 100],
    [132, 37, 260, 99],
    [100, 37, 260, 99],
  ] as const) {
    const values = randomArray(rows * inputs, 1);
    const x = gpu.tensor(values, [rows, inputs]);
    const few = gpu.tensor(values.subarray(0, low * inputs), [low, inputs]);
    const w = gpu.tensor(randomArray(outputs * inputs, 2), [outputs, inputs]);
    const bias = gpu.tensor(randomArray(outputs, 3), [outputs]);
    for (const relu of [false, true]) {
      const whole = await gpu.scope(async () => linear(x, w, bias, { relu }).read());
      const part = await gpu.scope(async () => linear(few, w, bias, { relu }).read());
      assert.equal(whole.subarray(0, low * outputs), part);
    }
    for (const tensor of [x, few, w, bias]) tensor.dispose();
  }
});

test('tiles in workgroup memory: products smaller than a tile, and of a single row, column or step', async () => {
  const { device } = (await sharedGpu()).plans;
  for (const tile of WORKGROUP_TILES) {
    if (!allowsTile(device, tile, { fetchA: 'k', fetchB: 'k' })) continue;
    // Sums of a multiple of four are read as vectors, by another shader: all tiles have that one, the smallest has both.
    for (const size of [
      ...(tile === WORKGROUP_TILE
        ? ([
            [1, 1, 1],
            [1, 67, 9],
          ] as const)
        : []),
      [1, 67, 4],
      [67, 1, 16],
      [3, 5, 40],
    ] as const)
      await runCheck(matmulCheck(tile, 'assign', size, { b: true }));
  }
});

test('all variants give the same bits: they add in the same order', async () => {
  const subgroup = await subgroupTiles();
  const results = [];
  for (const tile of [...REGISTER_TILES, ...subgroup, ...WORKGROUP_TILES, ...(await vectorTiles())]) {
    const [rows, columns] = tile.variant === 'workgroup' ? [1, 1] : [tile.rowWidth, tile.width];
    const check = matmulCheck(tile, 'assign', [36 / rows, 68 / columns, 211], { a: true });
    results.push((await launch(await sharedGpu(), check.kernel, check.buffers, check.uniforms))['c']);
  }
  for (const result of results) assert.equal(result, results[0]);
});

test('a product with more tiles than a grid dimension holds is refused by name and size', () => {
  const tile = REGISTER_TILES[0]!;
  const M = tile.rows * MAX_WORKGROUPS + 1;
  const uniforms = matmulShape({ M, N: 1, K: 1, am: 1, ak: 1, bk: 1, bn: 1, cm: 1, cn: 1 });
  assert.throws(
    () => matmul(tile, uniforms, 'assign').grid(uniforms),
    new RegExp(`matrix product of ${M} x 1: .*65535`),
  );
});

test.run();
