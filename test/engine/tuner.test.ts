import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runConvFilterGradient, runConvForward, runConvInputGradient } from '../../src/engine/convolution.ts';
import { readTuningCache, saveTuningCache, tuningKey } from '../../src/engine/node/tuningCache.ts';
import { conv2d } from '../../src/engine/ops/conv2d.ts';
import { tune } from '../../src/engine/tuner.ts';
import { convShape } from '../../src/kernels/checks/matmul.ts';
import { convForwardReference, convGradientsReference } from '../../src/kernels/conv2d.ts';
import { convPlans } from '../../src/kernels/planner.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

// Every candidate of every direction is forced. With the sums of F(4x4, 3x3) errors grow to about 1e-5 of the largest value.
const SHAPES = [
  convShape([2, 19, 13, 16], [33, 3, 3], 1, 1), // rows aligned to four columns, in the input alone
  convShape([1, 17, 9, 14], [35, 3, 3], 1, 0),
  convShape([1, 5, 6, 7], [3, 3, 3], 1, 2),
  convShape([3, 9, 5, 8], [21, 1, 1], 1, 0),
  convShape([2, 7, 5, 7], [6, 1, 1], 1, 0), // planes of 35 values: no vectors
  convShape([1, 3, 17, 12], [8, 5, 5], 2, 2),
];

test('every candidate for a convolution computes it, forward and both gradients', async () => {
  const gpu = await sharedGpu();
  for (const shape of SHAPES) {
    const { B, C, H, W, K, R, S, OH, OW } = shape;
    const values = { x: randomArray(B * C * H * W, 1), w: randomArray(K * C * R * S, 2), bias: randomArray(K, 3) };
    const dyValues = randomArray(B * K * OH * OW, 4);
    const expected = convGradientsReference(values.x, values.w, dyValues, shape);
    await gpu.scope(async () => {
      const x = gpu.tensor(values.x, [B, C, H, W]);
      const w = gpu.tensor(values.w, [K, C, R, S]);
      const bias = gpu.tensor(values.bias, [K]);
      const dy = gpu.tensor(dyValues, [B, K, OH, OW]);
      const check = async (direction: 'forward' | 'input' | 'filter') => {
        for (const plan of convPlans(gpu.plans.device, direction, shape)) {
          gpu.plans.set({ kind: 'conv', direction, shape, candidates: [] }, plan);
          const what = `${direction} ${B}x${C}x${H}x${W} ${K}x${R}x${S} ${JSON.stringify(plan)}`;
          if (direction === 'forward') {
            const y = gpu.empty([B, K, OH, OW]);
            for (const relu of [false, true]) {
              runConvForward(gpu, { x, w, bias, y }, shape, relu, false);
              const reference = convForwardReference(values.x, values.w, values.bias, shape, relu);
              expectClose(await y.read(), reference, { atol: 4e-4, rtol: 0, what });
            }
          } else if (direction === 'input') {
            for (const add of [false, true]) {
              const dx = gpu.tensor(values.x, x.shape);
              runConvInputGradient(gpu, { dy, w, dx }, shape, add);
              const sum = expected.dx.map((value, i) => value + (add ? values.x[i]! : 0));
              expectClose(await dx.read(), sum, { atol: 4e-4, rtol: 0, what });
            }
          } else {
            if (plan.algorithm === 'winograd')
              gpu.plans.set({ kind: 'conv', direction: 'forward', shape, candidates: [] }, plan);
            const kept = gpu.scope(() =>
              runConvForward(gpu, { x, w, bias, y: gpu.empty([B, K, OH, OW]) }, shape, false, true),
            );
            assert.is(kept !== null, plan.algorithm === 'winograd', what);
            const gradient = async (add: boolean, points: Tensor | null) => {
              const dw = gpu.tensor(values.w, w.shape);
              runConvFilterGradient(gpu, { x, dy, dw, points }, shape, add);
              return dw.read();
            };
            for (const add of [false, true]) {
              const dw = await gradient(add, null);
              const sum = expected.dw.map((value, i) => value + (add ? values.w[i]! : 0));
              expectClose(dw, sum, { atol: 1e-3, rtol: 0, what });
              assert.equal(await gradient(add, kept), dw, what);
            }
          }
        }
      };
      for (const direction of ['forward', 'input', 'filter'] as const) await check(direction);
    });
  }
  gpu.plans.use({});
});

test('a map of several bands is computed as one', async () => {
  const gpu = await sharedGpu();
  // 36 points x 512 channels x 4 bytes: 455 tiles fill a band, this map has 1024.
  const shape = convShape([1, 512, 8, 2048], [1, 3, 3], 1, 1);
  gpu.plans.set({ kind: 'conv', direction: 'forward', shape, candidates: [] }, { algorithm: 'winograd', size: 4 });
  const x = randomArray(512 * 8 * 2048, 1);
  const w = randomArray(512 * 9, 2, 0.1);
  const y = await gpu.scope(async () =>
    conv2d(gpu.tensor(x, [1, 512, 8, 2048]), gpu.tensor(w, [1, 512, 3, 3]), null, { padding: 1 }).read(),
  );
  expectClose(y, convForwardReference(x, w, null, shape), { atol: 1e-3, rtol: 0, what: 'y' });
  gpu.plans.use({});
});

test('patches in bands, of maps of any size, have the bits of the direct sum', async () => {
  const gpu = await sharedGpu();
  for (const [x4, filters, stride, padding] of [
    [[1, 1024, 31, 31], [8, 3, 3], 1, 1], // 9 x 1024 terms x 4 bytes: 910 cells fill a band
    [[2, 5, 9, 13], [20, 3, 3], 2, 1],
    [[1, 6, 7, 11], [9, 1, 1], 2, 0],
  ] as const) {
    const shape = convShape(x4, filters, stride, padding);
    const [K, R, S] = filters;
    const direct = convPlans(gpu.plans.device, 'forward', shape).find(({ algorithm }) => algorithm === 'direct')!;
    const results = [];
    for (const plan of [direct, { algorithm: 'patches' }] as const) {
      gpu.plans.set({ kind: 'conv', direction: 'forward', shape, candidates: [] }, plan);
      results.push(
        await gpu.scope(async () => {
          const x = gpu.tensor(randomArray(x4[0] * x4[1] * x4[2] * x4[3], 1), x4);
          const w = gpu.tensor(randomArray(K * x4[1] * R * S, 2), [K, x4[1], R, S]);
          const bias = gpu.tensor(randomArray(K, 3), [K]);
          return conv2d(x, w, bias, { stride, padding, relu: true }).read();
        }),
      );
    }
    assert.equal(results[1], results[0], `${x4}`);
  }
  gpu.plans.use({});
});

test('the tuner times what was met, keeps one of the candidates, and with the same choices bits are the same', async () => {
  const gpu = await sharedGpu();
  gpu.plans.use({});
  const x = gpu.tensor(randomArray(24 * 12 * 16, 1), [1, 24, 12, 16]);
  const w = gpu.parameter(randomArray(40 * 24 * 9, 2), [40, 24, 3, 3], 'w');
  const compute = () => gpu.scope(async () => conv2d(x, w, null, { padding: 1 }).read());
  await compute();
  const report = await tune(gpu, { seconds: 60 });
  assert.ok(report.timed > 2, `${report.timed} shapes`); // the convolution and the products of its Winograd forms
  assert.is(report.left, 0);
  const choices = gpu.plans.export();
  const key = Object.keys(choices).find((name) => name.startsWith('conv forward 1x24x12x16 40x3x3'))!;
  const candidates = convPlans(gpu.plans.device, 'forward', convShape([1, 24, 12, 16], [40, 3, 3], 1, 1));
  assert.ok(candidates.some((candidate) => JSON.stringify(candidate) === choices[key]));
  const tuned = await compute();
  assert.equal((await tune(gpu)).timed, 0, 'nothing is timed twice');

  gpu.plans.use(choices);
  assert.equal(await compute(), tuned);
  assert.equal(gpu.plans.takeUntuned(), []);
  gpu.plans.use({});
  x.dispose();
  w.dispose();
});

test('without time every shape keeps the planner’s choice', async () => {
  const gpu = await sharedGpu();
  gpu.plans.use({});
  gpu.plans.conv('forward', SHAPES[0]!);
  assert.equal(await tune(gpu, { seconds: 0 }), { timed: 0, changed: 0, left: 1 });
  assert.equal(gpu.plans.export(), {});
});

test('with little time the shapes of most work are timed first', async () => {
  const gpu = await sharedGpu();
  gpu.plans.use({});
  const small = convShape([1, 4, 5, 6], [8, 3, 3], 2, 1);
  const large = convShape([1, 16, 24, 32], [32, 3, 3], 2, 1);
  for (const shape of [small, large]) gpu.plans.conv('forward', shape);
  const order: string[] = [];
  const set = gpu.plans.set.bind(gpu.plans);
  gpu.plans.set = (met, candidate) => {
    order.push(`${met.kind === 'conv' ? met.shape.C : 0}`);
    set(met, candidate);
  };
  await tune(gpu, { seconds: 60 });
  gpu.plans.set = set;
  assert.equal([...new Set(order)], ['16', '4']);
  gpu.plans.use({});
});

test('the cache keeps the choices of each adapter apart; a damaged one, or a choice that is no candidate, is passed over', async () => {
  const gpu = await sharedGpu();
  const path = join(temporaryFolder(), 'tuning.json');
  const shape = SHAPES[0]!;
  const direct = convPlans(gpu.plans.device, 'forward', shape).find(({ algorithm }) => algorithm === 'direct')!;
  writeFileSync(path, JSON.stringify({ 'another adapter': { a: 'b' } }));
  gpu.plans.use({});
  gpu.plans.set({ kind: 'conv', direction: 'forward', shape, candidates: [] }, direct);
  saveTuningCache(gpu, gpu.plans.export(), path);
  assert.equal(Object.keys(JSON.parse(readFileSync(path, 'utf8'))), ['another adapter', tuningKey(gpu)]);
  gpu.plans.use({});
  assert.is(gpu.plans.conv('forward', shape).algorithm, 'winograd');
  gpu.plans.use(readTuningCache(gpu, path));
  assert.equal(gpu.plans.conv('forward', shape), direct);

  for (const damaged of ['{"cut', '7', JSON.stringify({ [tuningKey(gpu)]: 3 })]) {
    writeFileSync(path, damaged);
    gpu.plans.use(readTuningCache(gpu, path));
    assert.is(gpu.plans.conv('forward', shape).algorithm, 'winograd', damaged);
  }
  if (process.platform !== 'win32') assert.equal(readTuningCache(gpu, '/dev/zero'), {}); // and does not read it for ever
  const [key] = Object.keys(JSON.parse('{"k":0}'));
  gpu.plans.use({ [key!]: '{"algorithm":"none"}' });
  assert.is(gpu.plans.conv('forward', shape).algorithm, 'winograd');
  gpu.plans.use({});
});

test.run();
