/**
 * Waiting for the device without keeping a core busy.
 *
 * While a promise of Dawn's is open, its Node binding asks the device for news in every turn of the event loop and starts
 * the next turn at once: the thread spins. On a software adapter, which computes on the same cores, that takes a core away
 * from the work that is waited for. Here every turn sleeps for a while first: a sixteenth of the time waited so far, so that
 * short waits end promptly, and at most half a millisecond, so that timers and input go on.
 */
const LONGEST_SLEEP_MS = 0.5;
const SLEEP_SHARE = 1 / 16;

const cell = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
/** A turn is due: there is never more than one. */
let turning = false;
let since = 0;

/** Awaits `promise`, which the device keeps, sleeping in between. */
export async function patiently<T>(promise: Promise<T>): Promise<T> {
  since = performance.now();
  waiting++;
  if (!turning) setImmediate(turn);
  turning = true;
  try {
    return await promise;
  } finally {
    waiting--;
    since = performance.now();
  }
}

function turn(): void {
  turning = waiting > 0;
  if (!turning) return;
  Atomics.wait(cell, 0, 0, Math.min(LONGEST_SLEEP_MS, (performance.now() - since) * SLEEP_SHARE));
  setImmediate(turn);
}
