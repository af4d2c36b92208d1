import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import {
  softmaxLogLossBackwardCheck,
  softmaxLogLossFinalCheck,
  softmaxLogLossPartialCheck,
} from '../../src/kernels/checks/reductions.ts';
import { partialCount } from '../../src/kernels/reduce.ts';
import {
  softmaxLogLossBackward,
  softmaxLogLossBackwardReference,
  softmaxLogLossFinal,
  softmaxLogLossPartial,
  softmaxLogLossReference,
  type LogLossView,
} from '../../src/kernels/softmaxLogLoss.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

const VIEWS = [
  { outer: 1, channels: 1, inner: 1 },
  { outer: 1, channels: 2, inner: 21546 },
  { outer: 128, channels: 21, inner: 1 },
  { outer: 5, channels: 3, inner: 1031 },
];
testChecks(VIEWS.map((view) => softmaxLogLossPartialCheck(view)));
testChecks(VIEWS.map((view) => softmaxLogLossBackwardCheck(view)));
testChecks([1, 63, 65, 1009].map((n) => softmaxLogLossFinalCheck(n)));
testChecks([softmaxLogLossFinalCheck(3, 1)]); // nothing counted: the divisor is 1

/** Loss, count and gradient by the three kernels, as the engine runs them. */
async function onGpu(x: Float32Array, labels: Int32Array, view: LogLossView, dloss: number, clip = 0) {
  const gpu = await sharedGpu();
  const n = partialCount(labels.length);
  const first = { x, labels, losses: new Float32Array(n), counts: new Int32Array(n) };
  const { losses, counts } = await launch(gpu, softmaxLogLossPartial, first, { ...view, clip });
  const second = { losses, counts, loss: new Float32Array(1), count: new Int32Array(1) };
  const { loss, count } = await launch(gpu, softmaxLogLossFinal, second, { n });
  const third = { x, labels, count, dloss: Float32Array.of(dloss), dx: new Float32Array(x.length) };
  const { dx } = await launch(gpu, softmaxLogLossBackward, third, { ...view });
  return { loss: loss[0]!, count: count[0]!, dx };
}

test("Caffe's loss and gradient with an ignored label", async () => {
  const golden = JSON.parse(
    readFileSync(new URL('../golden/nn_ops.json', import.meta.url), 'utf8'),
  ).softmax_loss_ignore;
  const view = { outer: golden.logits.length, channels: 2, inner: 1, ignoreLabel: -1 };
  const { loss, count, dx } = await onGpu(
    Float32Array.from(golden.logits.flat()),
    Int32Array.from(golden.labels),
    view,
    1,
  );
  expectClose([loss], [golden.loss], { atol: 0, rtol: 1e-5, what: 'loss' });
  assert.is(count, 3);
  expectClose(dx, golden.grad.flat(), { atol: 1e-6, rtol: 1e-5, what: 'gradient' });
});

test('the loss is not bounded, or with `clip` at a probability of FLT_MIN; the gradient never is', async () => {
  const x = Float32Array.of(0, 300, -1e30, 1e30);
  const view = { outer: 2, channels: 2, inner: 1, ignoreLabel: -1 };
  const { loss, dx } = await onGpu(x, Int32Array.of(0, 0), view, 1);
  expectClose([loss], [1e30], { atol: 0, rtol: 1e-6, what: 'loss' });
  const clipped = await onGpu(x, Int32Array.of(0, 0), view, 1, 1);
  expectClose([clipped.loss], [126 * Math.LN2], { atol: 0, rtol: 1e-6, what: 'clipped loss' });
  assert.equal(clipped.dx, dx);
  expectClose(dx, [-0.5, 0.5, -0.5, 0.5], { atol: 1e-7, rtol: 0, what: 'gradient' });
});

test('every label ignored: loss 0, gradient 0', async () => {
  const view = { outer: 1, channels: 2, inner: 3, ignoreLabel: 1 };
  const { loss, count, dx } = await onGpu(randomArray(6, 1), Int32Array.of(1, 7, -5), view, 1);
  assert.is(loss, 0);
  assert.is(count, 0);
  assert.equal([...dx].map(Math.abs), [0, 0, 0, 0, 0, 0]);
});

test('loss and gradient are those of the whole operation in float64', async () => {
  const view = { outer: 3, channels: 4, inner: 1511, ignoreLabel: 2 };
  const x = randomArray(3 * 4 * 1511, 1, 4);
  const labels = Int32Array.from({ length: 3 * 1511 }, (_, i) => (i * 7) % 6); // 4 and 5 are no channel
  const { loss, count, dx } = await onGpu(x, labels, view, -3);
  const wide = Float64Array.from(x);
  const expected = softmaxLogLossReference(wide, labels, view);
  expectClose([loss], [expected.loss], { atol: 0, rtol: 1e-5, what: 'loss' });
  assert.is(count, expected.count);
  const gradient = softmaxLogLossBackwardReference(wide, labels, view, -3);
  expectClose(dx, gradient, { atol: 1e-8, rtol: 1e-4, what: 'gradient' });
});

test('log loss gradient against central differences', () => {
  const view = { outer: 2, channels: 4, inner: 3, ignoreLabel: -1 };
  const labels = Int32Array.of(0, 3, -1, 2, 4, 1);
  const x = Float64Array.from(randomArray(24, 1));
  const f = (moved: Float64Array) => 1.5 * softmaxLogLossReference(moved, labels, view).loss;
  expectGradient(softmaxLogLossBackwardReference(x, labels, view, 1.5), f, x);
});

test.run();
