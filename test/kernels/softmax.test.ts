import { test } from 'uvu';
import { softmaxBackwardCheck, softmaxForwardCheck } from '../../src/kernels/checks/reductions.ts';
import { softmaxBackwardReference, softmaxForward, softmaxReference } from '../../src/kernels/softmax.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { runCheck, testChecks } from './runCheck.ts';

const VIEWS = [
  { outer: 1, channels: 1, inner: 1 },
  { outer: 1, channels: 2, inner: 9 * 37 },
  { outer: 128, channels: 21, inner: 1 },
  { outer: 3, channels: 7, inner: 67 },
];
testChecks(VIEWS.map((view) => softmaxForwardCheck(view)));
testChecks(VIEWS.map(softmaxBackwardCheck));

test('one position more than 65535 workgroups of 64 hold', () =>
  runCheck(softmaxForwardCheck({ outer: 1, channels: 2, inner: 65535 * 64 + 1 })));

test('softmax of logits that overflow exp', async () => {
  const x = Float32Array.of(0, 1000, 999, -1000, 0, -1);
  const view = { outer: 2, channels: 3, inner: 1 };
  const { y } = await launch(await sharedGpu(), softmaxForward, { x, y: new Float32Array(6) }, view);
  expectClose(y, softmaxReference(Float64Array.from(x), view), { atol: 1e-6, rtol: 1e-5, what: 'softmax' });
});

test('softmax gradient against central differences', () => {
  const view = { outer: 2, channels: 5, inner: 3 };
  const x = Float64Array.from(randomArray(30, 1));
  const dy = Float64Array.from(randomArray(30, 2));
  expectGradient(
    softmaxBackwardReference(softmaxReference(x, view), dy, view),
    (moved) => weighted(softmaxReference(moved, view), dy),
    x,
  );
});

test.run();
