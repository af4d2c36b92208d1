import { test } from 'uvu';
import { readFileSync } from 'node:fs';
import { smoothL1BackwardCheck, smoothL1PartialCheck } from '../../src/kernels/checks/reductions.ts';
import {
  smoothL1Backward,
  smoothL1BackwardReference,
  smoothL1Partial,
  smoothL1Reference,
} from '../../src/kernels/smoothL1Loss.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

for (const inside of [false, true])
  for (const outside of [false, true])
    for (const [n, sigma] of [
      [1, 1],
      [4099, 3],
      [2048, 0.5],
    ] as const)
      testChecks([smoothL1PartialCheck(n, sigma, inside, outside), smoothL1BackwardCheck(n, sigma, inside, outside)]);

const golden = JSON.parse(readFileSync(new URL('../golden/nn_ops.json', import.meta.url), 'utf8')).smooth_l1;

for (const sigma of [1, 3])
  test(`values and slopes of Caffe's layer, sigma ${sigma}`, async () => {
    const gpu = await sharedGpu();
    const pred = Float32Array.from(golden.x);
    const targets = new Float32Array(pred.length);
    const slopes: number[] = golden[`sigma${sigma}_grad`];
    const backward = { pred, targets, dloss: Float32Array.of(1), dpred: new Float32Array(pred.length) };
    const { dpred } = await launch(gpu, smoothL1Backward(false, false), backward, { n: pred.length, sigma });
    expectClose(dpred!, slopes, { atol: 1e-6, rtol: 1e-6, what: 'slopes' });
    for (const [i, value] of pred.entries()) {
      const one = { pred: Float32Array.of(value), targets: new Float32Array(1), partials: new Float32Array(1) };
      const { partials } = await launch(gpu, smoothL1Partial(false, false), one, { n: 1, sigma });
      expectClose(partials!, [golden[`sigma${sigma}`][i]], { atol: 1e-6, rtol: 1e-6, what: `loss at ${value}` });
    }
  });

test('smooth L1 gradient against central differences', () => {
  const sigma = 3;
  const targets = Float64Array.from(randomArray(60, 2));
  const insideWeights = Float64Array.from(randomArray(60, 3), (value) => Math.abs(value));
  const outsideWeights = Float64Array.from(randomArray(60, 4), (value) => Math.abs(value));
  // away from the kink of f' at |d| = 1 / sigma^2
  const pred = Float64Array.from(randomArray(60, 1), (value, i) => {
    const d = insideWeights[i]! * (value - targets[i]!);
    return Math.abs(Math.abs(d) - 1 / 9) < 1e-3 ? targets[i]! : value;
  });
  const inputs = { pred, targets, insideWeights, outsideWeights, sigma };
  const ones = new Float64Array(60).fill(1);
  expectGradient(
    smoothL1BackwardReference(inputs, 0.7),
    (moved) => 0.7 * weighted(smoothL1Reference({ ...inputs, pred: moved }), ones),
    pred,
  );
});

test.run();
