import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clipGradNorm, MovingAverage, Adam } from '../../src/index.ts';
import { expectClose, sharedGpu } from '../harness.ts';

test('an average forgets its beginning first quickly, then at the rate of the decay', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter([1, 2, 3], [3], 'w');
  const average = new MovingAverage([w], 0.3);
  let expected = [1, 2, 3];
  for (let t = 1; t <= 6; t++) {
    const values = [t, -t, t * t];
    w.write(values);
    average.update();
    const decay = Math.min(0.3, (1 + t) / (10 + t));
    expected = expected.map((value, i) => decay * value + (1 - decay) * values[i]!);
  }
  expectClose(await average.slots[0]!.state.average.read(), expected, { atol: 1e-6, rtol: 1e-6, what: 'average' });
  const own = await w.read();
  average.exchange();
  expectClose(await w.read(), expected, { atol: 1e-6, rtol: 1e-6, what: 'weights while exchanged' });
  average.exchange();
  assert.equal(await w.read(), own);
  average.restart();
  assert.is(average.updates, 0);
  assert.equal(await average.slots[0]!.state.average.read(), own);
  average.dispose();
  w.dispose();
});

test('mistakes are one line', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter([1], [1], 'w');
  assert.throws(() => new MovingAverage([w], 1), /^MovingAverage: decay is 1, expected a number from 0 to below 1$/);
  assert.throws(() => new Adam([w], { learningRate: 1, betas: [1, 0] }), /^Adam: betas are 1 and 0, expected /);
  assert.throws(() => new Adam([w], { learningRate: -1 }), /^Adam: learningRate is -1, expected a number from 0 on$/);
  assert.throws(() => clipGradNorm([w], 0), /^clipGradNorm: the bound is 0, expected a number above 0$/);
  assert.throws(() => clipGradNorm([w], 1), /^clipGradNorm: no parameter has a gradient; call backward/);
  w.dispose();
});

test.run();
