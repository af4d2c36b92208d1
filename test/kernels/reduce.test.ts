import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  axisSumCheck,
  channelSumCheck,
  reluBackwardChannelSumCheck,
  sumFinalCheck,
  sumPartialCheck,
} from '../../src/kernels/checks/reductions.ts';
import { channelSumReference, partialCount, REDUCE_CHUNK, sumFinal, sumPartial } from '../../src/kernels/reduce.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { runCheck, testChecks } from './runCheck.ts';

testChecks([1, 63, 64, 65, REDUCE_CHUNK, REDUCE_CHUNK + 1, 100003].map(sumPartialCheck));
testChecks([1, 63, 65, 4099].map(sumFinalCheck));
testChecks(
  [
    { outer: 1, channels: 1, inner: 1 },
    { outer: 128, channels: 21, inner: 1 },
    { outer: 2, channels: 18, inner: 38 * 63 },
    { outer: 2, channels: 18, inner: 40 * 40 },
    { outer: 2, channels: 3, inner: 4 },
    { outer: 3, channels: 5, inner: 7 },
  ].flatMap((view) => [
    channelSumCheck(view),
    channelSumCheck(view, false),
    reluBackwardChannelSumCheck(view),
    reluBackwardChannelSumCheck(view, false),
  ]),
);
testChecks([
  axisSumCheck({ outer: 1, channels: 1, inner: 1 }),
  axisSumCheck({ outer: 1, channels: 128, inner: 21 }),
  axisSumCheck({ outer: 1, channels: 3, inner: 4099 }),
  axisSumCheck({ outer: 5, channels: 17, inner: 131 }),
  axisSumCheck({ outer: 131, channels: 5, inner: 1 }, false),
]);

test('grids folded into rows cover every channel and every chunk once', async () => {
  const channels = channelSumCheck({ outer: 1, channels: 10, inner: 3 });
  await runCheck({ ...channels, kernel: { ...channels.kernel, grid: () => [3, 4, 1] } });
  const chunks = sumPartialCheck(9 * REDUCE_CHUNK + 1);
  await runCheck({ ...chunks, kernel: { ...chunks.kernel, grid: () => [3, 4, 1] } });
});

test('both stages give the sum, and the same bits twice', async () => {
  const gpu = await sharedGpu();
  const x = randomArray(70001, 5);
  const sum = async () => {
    const { partials } = await launch(
      gpu,
      sumPartial,
      { x, partials: new Float32Array(partialCount(x.length)) },
      { n: x.length },
    );
    return (await launch(gpu, sumFinal, { partials, y: new Float32Array(1) }, { n: partials.length })).y;
  };
  const y = await sum();
  expectClose(y, [x.reduce((total, value) => total + value, 0)], { atol: 1e-3, rtol: 1e-5, what: 'sum' });
  assert.equal(await sum(), y);
});

test('an empty sum is 0', async () => {
  const buffers = { x: new Float32Array(1).fill(7), partials: new Float32Array(partialCount(0)).fill(9) };
  const { partials } = await launch(await sharedGpu(), sumPartial, buffers, { n: 0 });
  assert.equal(partials, new Float32Array(1));
});

test('channel sum by hand', () => {
  // [2, 2, 3]: channel 0 holds 0 1 2 and 6 7 8, channel 1 holds 3 4 5 and 9 10 11
  const dy = Float64Array.from({ length: 12 }, (_, i) => i);
  assert.equal(channelSumReference(dy, 2, 2, 3), Float64Array.of(24, 42));
});

test.run();
