/** Waiting for the device leaves the processor to it (src/engine/node/patience.ts). */
import { setTimeout as after } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { patiently } from '../../src/engine/node/patience.ts';

/** Turns of the event loop until `promise` settles: tens of thousands in 100 ms where nothing sleeps. */
async function turnsUntil(promise: Promise<unknown>): Promise<number> {
  let turns = 0;
  let open = true;
  const count = (): void => {
    turns++;
    if (open) setImmediate(count);
  };
  setImmediate(count);
  await promise.catch(() => {});
  open = false;
  return turns;
}

test('the event loop sleeps while one or several promises are open', async () => {
  const first = patiently(after(100, 'first'));
  const second = patiently(after(50, 'second'));
  assert.ok((await turnsUntil(first)) < 2000);
  assert.equal([await first, await second], ['first', 'second']);
});

test('it wakes at a rejection, and no longer sleeps afterwards', async () => {
  const failing = patiently(after(20).then(() => Promise.reject(new Error('lost'))));
  await turnsUntil(failing);
  try {
    await failing;
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'lost');
  }
  const asleep = await turnsUntil(patiently(after(50)));
  const awake = await turnsUntil(after(50));
  assert.ok(awake > 2 * asleep, `${awake} turns against ${asleep}`);
});

test('one wait after the other sleeps no longer than one', async () => {
  const start = performance.now();
  for (let i = 0; i < 2000; i++) await patiently(Promise.resolve());
  const turns = await turnsUntil(patiently(after(100)));
  assert.ok(turns > 50, `${turns} turns in 100 ms`);
  assert.ok(performance.now() - start < 2000);
});

test.run();
