/**
 * Waiting for the device without keeping a core busy.
 *
 * While one of Dawn's promises is pending, its Node binding polls the device in every turn of the event loop and schedules
 * the next turn at once: the thread spins. On a software adapter, which computes on the same cores, that takes a core away
 * from the very work that it waits for. Here every turn first sleeps for a sixteenth of the time waited so far, so that
 * short waits end promptly, but for at most half a millisecond, so that timers and input are still served.
 */
const LONGEST_SLEEP_MS = 0.5;
const SLEEP_SHARE = 1 / 16;

const cell = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
/** Whether a turn is scheduled: there is never more than one. */
let turning = false;
let since = 0;

/** Awaits a promise of the device, sleeping in between. */
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
