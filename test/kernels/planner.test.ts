import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convShape } from '../../src/kernels/checks/matmul.ts';
import type { ConvShape } from '../../src/kernels/conv2d.ts';
import type { ConvPass } from '../../src/kernels/conv2dWorkgroup.ts';
import { type Capabilities, machineOf } from '../../src/kernels/machine.ts';
import { matmulShape, type MatmulShape, matmulTileName, workgroupAccess } from '../../src/kernels/matmul.ts';
import {
  convPlans,
  filterSplits,
  matmulTiles,
  keepsPoints,
  packedFactor,
  packsRows,
  patchesBand,
  sharesPositions,
  stageVariant,
  sumParts,
  sumsWithMask,
  turnsProduct,
  winogradBand,
} from '../../src/kernels/planner.ts';
import {
  filterParts,
  productSplits,
  splitShape,
  WORKGROUP_TILES,
  workgroupTiles,
} from '../../src/kernels/workgroupPlans.ts';
import { pointsOf } from '../../src/kernels/winograd.ts';
import { invocationsOf, workgroupBytes } from '../../src/kernels/workgroupCore.ts';
import { registersOf, residentOf, tileCost } from '../../src/kernels/workgroupCost.ts';
import { device, VECTOR_SHAPE } from './tiles.ts';

const LAVAPIPE = device(8);
const SWIFTSHADER = device(4);
const NO_SUBGROUPS = device(0);
const GPU = device(32, false);

test('a wide 3x3 convolution of stride 1 takes the Winograd form, a narrow one the direct sum', () => {
  const wide = convShape([1, 64, 30, 40], [128, 3, 3], 1, 1);
  const narrow = convShape([1, 3, 30, 40], [64, 3, 3], 1, 1);
  for (const direction of ['forward', 'input', 'filter'] as const) {
    assert.equal(convPlans(LAVAPIPE, direction, wide)[0], { algorithm: 'winograd', size: 4 });
    assert.is(convPlans(LAVAPIPE, direction, narrow)[0]!.algorithm, 'direct');
    // what was not chosen is a candidate all the same
    assert.ok(convPlans(LAVAPIPE, direction, narrow).some(({ algorithm }) => algorithm === 'winograd'));
  }
});

test('sorting, selection and suppression are wide on hardware alone', () => {
  for (const software of [LAVAPIPE, SWIFTSHADER, NO_SUBGROUPS]) assert.is(stageVariant(software), 'narrow');
  assert.is(stageVariant(GPU), 'wide');
});

test('sums are split where their workgroups leave cores of a GPU without work', () => {
  const h100 = device(32, false, machineOf('nvidia hopper NVIDIA H100 80GB HBM3'));
  assert.is(sumParts(h100, 'workgroup', 64, 600 * 800), 16);
  assert.is(sumParts(h100, 'workgroup', 64, 5000), 1);
  assert.is(sumParts(h100, 'workgroup', 2048, 600 * 800), 1);
  assert.is(sumParts(h100, 'invocation', 4096, 300), 16);
  assert.is(sumParts(h100, 'invocation', 21, 15), 1);
  assert.is(sumParts(LAVAPIPE, 'workgroup', 64, 600 * 800), 1);
});

test('a workgroup shares a position of many channels, unless neighbouring invocations read neighbours', () => {
  assert.ok(sharesPositions(GPU, { outer: 32, channels: 1000, inner: 1 }));
  assert.ok(sharesPositions(GPU, { outer: 1, channels: 81, inner: 100 }));
  assert.not(sharesPositions(GPU, { outer: 300, channels: 21, inner: 1 }));
  assert.not(sharesPositions(GPU, { outer: 1, channels: 81, inner: 100000 }));
  assert.not(sharesPositions(LAVAPIPE, { outer: 32, channels: 1000, inner: 1 }));
});

test('other filters, strides and paddings have no Winograd form', () => {
  for (const shape of [
    convShape([1, 64, 30, 40], [64, 3, 3], 2, 1),
    convShape([1, 64, 30, 40], [64, 5, 5], 1, 2),
    convShape([1, 64, 30, 40], [64, 3, 3], 1, 3), // the input gradient would need a negative padding
  ]) {
    for (const plan of convPlans(LAVAPIPE, 'input', shape)) assert.is(plan.algorithm, 'direct');
  }
});

test('transformed filters that no binding holds rule the Winograd form out', () => {
  const shape = convShape([1, 1024, 8, 8], [1024, 3, 3], 1, 1);
  const sizes = convPlans(LAVAPIPE, 'forward', shape).flatMap((plan) =>
    plan.algorithm === 'winograd' ? [plan.size] : [],
  );
  assert.equal(sizes, [2]); // 36 x 4 MiB do not fit into 128 MiB, 16 x 4 MiB do
});

test('a 1x1 convolution is a product of matrices; its filter gradient on a software adapter a direct sum', () => {
  const shape = convShape([2, 64, 30, 40], [128, 1, 1], 1, 0);
  assert.is(convPlans(LAVAPIPE, 'forward', shape)[0]!.algorithm, 'pointwise');
  assert.is(convPlans(LAVAPIPE, 'input', shape)[0]!.algorithm, 'pointwise');
  assert.is(convPlans(LAVAPIPE, 'filter', shape)[0]!.algorithm, 'direct');
  assert.is(convPlans(GPU, 'filter', { ...shape, B: 1 })[0]!.algorithm, 'pointwise');
  for (const plan of convPlans(GPU, 'filter', shape)) assert.is(plan.algorithm, 'direct'); // the sum is over two images
});

test('a software adapter copies patches for a product of many filters, of one image', () => {
  const first = (device: Capabilities, shape: ConvShape) => convPlans(device, 'forward', shape)[0]!.algorithm;
  const strided = convShape([1, 256, 30, 41], [256, 3, 3], 2, 1);
  assert.is(first(LAVAPIPE, strided), 'patches');
  assert.is(first(SWIFTSHADER, strided), 'patches');
  assert.is(first(GPU, strided), 'direct');
  assert.is(first(LAVAPIPE, { ...strided, B: 2 }), 'direct');
  assert.is(first(LAVAPIPE, { ...strided, K: 128 }), 'direct');
  assert.is(convPlans(LAVAPIPE, 'input', strided)[0]!.algorithm, 'direct');
  const pointwise = convShape([1, 256, 25, 34], [512, 1, 1], 1, 0);
  assert.is(first(LAVAPIPE, pointwise), 'patches'); // 850 cells are no multiple of four
  assert.is(first(LAVAPIPE, convShape([1, 256, 26, 34], [512, 1, 1], 1, 0)), 'pointwise');
  assert.is(first(LAVAPIPE, { ...pointwise, K: 12 }), 'pointwise');
  assert.is(first(GPU, pointwise), 'pointwise');
});

test('bands of patches are whole tiles of columns, or the whole map, and stay in a cache', () => {
  for (const [terms, cells] of [
    [27, 217600],
    [4608, 850],
    [2048, 63],
    [100000, 1000],
  ] as const) {
    const count = patchesBand(terms, cells);
    assert.ok(count % 64 === 0 || count === 4 * Math.ceil(cells / 4), `${terms} x ${cells}: ${count}`);
    assert.ok(count === 64 || 4 * terms * count <= 32 * 2 ** 20, `${terms} x ${cells}: ${count}`);
  }
});

/** a [M, K] times b [N, K] transposed, as in a linear layer, and a [K, M] transposed times b [K, N], as in Winograd's form. */
const alongK = (M: number, N: number, K: number) => matmulShape({ M, N, K, am: K, ak: 1, bk: 1, bn: K, cm: N, cn: 1 });
const across = (M: number, N: number, K: number, batch = 1) =>
  matmulShape({ M, N, K, am: 1, ak: M, bk: N, bn: 1, cm: N, cn: 1, az: M * K, bz: K * N, cz: M * N, batch });

const H100 = device(32, false, machineOf('nvidia hopper NVIDIA H100 80GB HBM3'));

test('an adapter is known by its words', () => {
  const kinds = [
    'NVIDIA H100 80GB HBM3',
    'nvidia ampere 0x2204',
    'amd rdna-3',
    'intel xe-2lpg',
    'apple metal-3',
    'GPU',
  ];
  assert.equal(
    kinds.map((words) => machineOf(words).kind),
    ['NVIDIA H100', 'NVIDIA, other', 'AMD RDNA', 'Intel Xe', 'Apple', 'other GPU'],
  );
});

test('registers, workgroup memory and occupancy of a tile', () => {
  const [large] = WORKGROUP_TILES;
  const vectors = { fetchA: 'vector', fetchB: 'vector' } as const;
  // 64 sums, 8 + 8 values of a step, two times 4 values of the next stage with 2 for their place, 20 others.
  assert.is(registersOf(large!, vectors), 64 + 16 + 12 + 20);
  // Two stages of 8 steps of 128 + 128 values; fetched along k, four more a step for each factor.
  assert.is(workgroupBytes(large!, 'vector', 'vector'), 16384);
  assert.is(workgroupBytes(large!, 'k', 'k'), 2 * 8 * 4 * (132 + 132));
  const cost = tileCost(large!, { M: 4096, N: 4096, K: 4096, batch: 1 }, vectors, H100.machine);
  assert.is(cost.resident, 2); // 65536 registers / (112 * 256)
  assert.is(cost.occupancy, 512 / 2048);
  assert.is(cost.workgroups, 1024);
  // Each of 1024 tiles reads 128 + 128 values for each of 4096 steps; a result is written once.
  assert.is(cost.cacheBytes, 4 * 1024 * 4096 * 256 + 4 * 4096 ** 2);
  assert.is(cost.memoryBytes, 4 * 3 * 4096 ** 2);
  // 256 invocations read 8 + 8 values a step, and write 256 values.
  assert.is(cost.workgroupTraffic, 1024 * 4096 * 4 * (256 * 16 + 256));
  // 16 bytes of workgroup memory for 16 multiply-adds, 128 bytes for 128 multiply-adds a cycle: the two are even.
  assert.is(cost.bound, 'workgroup memory');
  assert.ok(cost.microseconds > (4096 ** 3 / (132 * 128 * 1750)) * 1 && cost.microseconds < 3000);
});

test('every tile fits some machine, fills whole blocks of invocations, and leaves no invocation without results', () => {
  for (const tile of WORKGROUP_TILES) {
    const access = { fetchA: 'k', fetchB: 'k' } as const;
    assert.ok(residentOf(tile, access, H100.machine) >= 2);
    assert.ok(invocationsOf(tile) <= 256 && invocationsOf(tile) % 32 === 0);
    assert.is((tile.rows / tile.rowsEach) % 4, 0);
    assert.is((tile.columns / tile.columnsEach) % 8, 0);
  }
  assert.ok(WORKGROUP_TILES.some((tile) => workgroupBytes(tile, 'k', 'k') <= 16384));
});

test('on a GPU large products get large tiles, small ones and those of few rows small ones', () => {
  const first = (shape: MatmulShape, kind = H100) => matmulTileName(matmulTiles(kind, shape)[0]!);
  assert.is(first(across(4096, 4096, 4096)), 'workgroup 128x128 8x8 d8');
  assert.is(first(across(64, 7500, 64, 36)), 'workgroup 64x128 8x8 d8');
  assert.is(first(across(512, 512, 512)), 'workgroup 32x64 4x4 d16');
  assert.is(first(splitShape(alongK(16, 4096, 25088), 4)), 'workgroup 16x64 4x4 d16');
  assert.is(first(splitShape(alongK(300, 4096, 25088), 7)), 'workgroup 64x128 8x8 d8');
  // Where an invocation has 128 registers, 64 sums and what they need just fit if factors are read four at a time.
  const apple = device(32, false, machineOf('apple'));
  assert.is(first(across(4096, 4096, 4096), apple), 'workgroup 128x128 8x8 d8');
  // A workgroup memory of 16 KiB does not hold the largest tile fetched along k.
  const least = { ...H100, workgroupMemory: 16384 };
  assert.is(first(alongK(4096, 4096, 4096), least), 'workgroup 64x128 8x8 d8');
});

test('a GPU gets few candidates, of which one needs no workgroup memory; a software adapter none in workgroup memory', () => {
  for (const shape of [across(512, 512, 512), alongK(300, 4096, 4096)]) {
    const variants = matmulTiles(H100, shape).map(({ variant }) => variant);
    assert.equal(variants, ['workgroup', 'workgroup', 'workgroup', 'subgroup']);
    for (const { variant } of matmulTiles(LAVAPIPE, shape)) assert.is(variant, 'subgroup');
  }
});

test('on a GPU Winograd’s form is taken where its products and transforms take less time than the direct sum', () => {
  const first = (pass: ConvPass, shape: ConvShape) => {
    const [plan] = convPlans(H100, pass, shape);
    return plan!.algorithm === 'direct' ? matmulTileName(plan!.tile) : plan!.algorithm;
  };
  const layer = (C: number, K: number, H: number, W: number) => convShape([1, C, H, W], [K, 3, 3], 1, 1);
  assert.is(first('forward', layer(3, 64, 600, 800)), 'workgroup 64x128 8x8 d8');
  for (const pass of ['forward', 'input', 'filter'] as const) {
    assert.is(first(pass, layer(256, 256, 150, 200)), 'winograd');
    assert.is(first(pass, layer(512, 512, 37, 50)), 'winograd');
    assert.ok(first(pass, convShape([1, 64, 75, 100], [128, 3, 3], 2, 1)).startsWith('workgroup'));
    // few candidates, the last of which needs no workgroup memory
    const plans = convPlans(H100, pass, layer(64, 64, 150, 200));
    assert.ok(plans.length <= 6, `${plans.length}`);
    assert.ok(plans.some((plan) => plan.algorithm === 'direct' && plan.tile.variant === 'subgroup'));
  }
});

test('a filter gradient with few results is split into parts until every core has work', () => {
  const [tile] = WORKGROUP_TILES;
  const narrow = convShape([1, 64, 300, 400], [64, 3, 3], 1, 1);
  const { splits } = filterParts(H100, tile!, narrow);
  const workgroups = splits * 5; // five tiles of 128 columns
  assert.ok(workgroups / (132 * Math.ceil(workgroups / 132)) > 0.85, `${splits}`);
  assert.is(filterParts(H100, tile!, convShape([1, 512, 37, 50], [4096, 3, 3], 1, 1)).splits, 1);
  assert.ok(filterParts(H100, tile!, convShape([1, 512, 2, 50], [64, 3, 3], 1, 1)).splits <= 2); // two lines
});

test('a GPU splits the sum of a product with few results into equal parts', () => {
  const splits = (M: number, N: number, K: number, kind = H100) => productSplits(kind, alongK(M, N, K));
  assert.is(splits(4096, 4096, 4096), 1); // more than enough tiles
  assert.is(splits(64, 64, 1999), 1); // a prime number of steps
  assert.is(splits(64, 64, 200), 1); // too few steps
  for (const rows of [1, 16, 64, 128, 300]) {
    const parts = splits(rows, 4096, 25088);
    assert.ok(parts > 1 && 25088 % parts === 0, `${rows} rows: ${parts}`);
    const shape = splitShape(alongK(rows, 4096, 25088), parts);
    const [tile] = workgroupTiles(H100, shape, workgroupAccess(shape));
    const { workgroups } = tileCost(tile!, shape, workgroupAccess(shape), H100.machine);
    // The last round of the cores is not mostly idle.
    assert.ok(workgroups / (132 * Math.ceil(workgroups / 132)) > 0.85, `${rows} rows: ${workgroups} workgroups`);
  }
  assert.is(splits(256, 128, 12544, LAVAPIPE), 1);
  assert.is(productSplits(H100, { ...alongK(64, 64, 4096), cm: 1, cn: 64 }), 1); // results not in rows
});

test('products: subgroups where there are any, four columns to a load where memory allows it, workgroup memory on a GPU', () => {
  const odd = matmulShape({ M: 64, N: 63, K: 8, am: 8, ak: 1, bk: 63, bn: 1, cm: 63, cn: 1 });
  const first = (kind: typeof GPU, shape = VECTOR_SHAPE) => matmulTiles(kind, shape)[0]!;
  const batch = 36;
  const rows = { ...VECTOR_SHAPE, am: 1, ak: 64, batch };
  assert.equal(first(LAVAPIPE, rows), { variant: 'subgroup', rows: 64, rowWidth: 4, columns: 2, width: 4, lanes: 8 });
  const across = { ...VECTOR_SHAPE, batch };
  assert.equal(first(LAVAPIPE, across), { variant: 'subgroup', rows: 64, rowWidth: 1, columns: 2, width: 4, lanes: 8 });
  const scalar = { ...odd, batch };
  assert.equal(first(LAVAPIPE, scalar), { variant: 'subgroup', rows: 64, rowWidth: 1, columns: 6, width: 1, lanes: 8 });
  assert.equal(first(SWIFTSHADER), { variant: 'subgroup', rows: 16, rowWidth: 1, columns: 1, width: 4, lanes: 4 });
  assert.is(first(NO_SUBGROUPS).variant, 'register');
  assert.is(first(GPU).variant, 'workgroup');
  for (const kind of [LAVAPIPE, SWIFTSHADER, NO_SUBGROUPS, GPU])
    for (const tile of matmulTiles(kind, odd)) assert.ok(tile.variant === 'workgroup' || tile.width === 1);
});

test('the height of a tile fits that of the product, and a product of few workgroups gets more, lower ones', () => {
  const rows = (shape: Partial<MatmulShape>) => {
    const tile = matmulTiles(LAVAPIPE, { ...VECTOR_SHAPE, ...shape })[0]!;
    return tile.variant === 'workgroup' ? 0 : tile.rows;
  };
  const heights = (batch: number) => [1, 16, 17, 32, 48, 64, 100, 512].map((M) => rows({ M, batch }));
  assert.equal(heights(36), [16, 16, 20, 32, 48, 64, 52, 64]);
  assert.is(rows({ M: 128, N: 64, batch: 1 }), 16);
});

test('few tiles of a small map become the rows of a product, many stay its columns', () => {
  const order = (kind: typeof GPU, count: number, outputs: number) => {
    const common = { ...VECTOR_SHAPE, am: 1, batch: 36 };
    const shape = { ...common, M: outputs, N: count, ak: outputs, bk: count, cm: count };
    const turned = { ...common, M: count, N: outputs, ak: count, bk: outputs, cm: 1, cn: count };
    return turnsProduct(kind, shape, turned);
  };
  const orders = (kind: typeof GPU) => [
    order(kind, 100, 64),
    order(kind, 20, 64),
    order(kind, 128, 64),
    order(kind, 7500, 64),
  ];
  assert.equal(orders(LAVAPIPE), [true, true, false, false]);
  assert.equal(orders(GPU), [false, false, false, false]);
});

test('points are kept where all tiles were in one band and take a megabyte at most', () => {
  const all = { total: 100, count: 100 };
  assert.ok(keepsPoints(2 ** 18, all));
  assert.not(keepsPoints(2 ** 18 + 1, all));
  assert.not(keepsPoints(36 * 16, { total: 101, count: 52 }));
});

test('a software adapter masks and sums in one pass, hardware only channels of few cells', () => {
  assert.ok(sumsWithMask(LAVAPIPE, { outer: 8, inner: 1e6 }));
  assert.ok(sumsWithMask(GPU, { outer: 2, inner: 40 * 40 }));
  assert.not(sumsWithMask(GPU, { outer: 2, inner: 300 * 400 }));
});

test('the smaller factor of a product along k is turned round, where the other uses it often enough', () => {
  const factor = (M: number, N: number, kind = LAVAPIPE) =>
    packedFactor(kind, matmulShape({ M, N, K: 100, am: 100, ak: 1, bk: 1, bn: 100, cm: N, cn: 1 }));
  assert.is(factor(300, 4096), 'a');
  assert.is(factor(2000, 84), 'b');
  assert.is(factor(2000, 128), 'b');
  assert.is(factor(303, 4096), 'b'); // rows of a number that is no multiple of four cannot be columns
  assert.is(factor(64, 100), null);
  assert.is(factor(16, 4096), null); // as columns 16 rows would fill a quarter of a tile
  assert.is(packedFactor(LAVAPIPE, VECTOR_SHAPE), null); // b does not lie along k
  assert.is(factor(300, 4096, GPU), null);
});

test('rows that lie along k are transposed where enough results use them, on a software adapter alone', () => {
  const packs = (M: number, N: number, kind = LAVAPIPE, others = {}) =>
    packsRows(kind, matmulShape({ M, N, K: 256, am: 256, ak: 1, bk: N, bn: 1, cm: N, cn: 1, ...others }));
  assert.ok(packs(64, 54400));
  assert.ok(packs(64, 200, LAVAPIPE, { batch: 2 }));
  assert.not.ok(packs(64, 200));
  assert.not.ok(packs(12, 54400, GPU));
  assert.not.ok(packs(15, 54400)); // the transposed rows are written four at a time
  assert.not.ok(packs(64, 54400, LAVAPIPE, { am: 1, ak: 64 })); // they lie side by side already
  assert.not.ok(packs(64, 54400, LAVAPIPE, { az: 64 * 256, batch: 2 })); // each slice has its own
});

test('bands of tiles are few, equal, multiples of four, and stay within their bytes', () => {
  for (const [channels, tiles] of [
    [64, 7500],
    [512, 35],
    [512, 608],
    [4096, 7],
    [3, 1],
  ] as const) {
    const count = winogradBand(4, channels, tiles);
    assert.is(count % 4, 0);
    assert.ok(count === 4 || count * channels * pointsOf(4) * 4 <= 33 * 2 ** 20, `${channels} ${tiles}: ${count}`);
    const bands = Math.ceil(tiles / count);
    assert.ok(bands * count - tiles < 4 * bands, `${channels} ${tiles}: ${count}`);
  }
});

test('splits fill a device and never outnumber the lines', () => {
  assert.is(filterSplits(LAVAPIPE, 1, 1000), 32);
  assert.is(filterSplits(GPU, 1, 1000), 512);
  assert.is(filterSplits(LAVAPIPE, 1, 5), 5);
  assert.is(filterSplits(LAVAPIPE, 5, 1000), 6);
  assert.is(filterSplits(LAVAPIPE, 1000, 1000), 1);
});

test.run();
