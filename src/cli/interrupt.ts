/** Ctrl-C in commands that save what they have. */

/** Ctrl-C, `kill`, a closed terminal and Ctrl-\ (instead of a core dump): each of them saves. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** A second signal within this time counts as the same: a terminal signals every process, and some pass it on. */
const SAME_SIGNAL_MS = 500;

/** The first Ctrl-C (or `kill`) aborts the signal; the next one ends the process. */
export function onInterrupt(onFirst: () => void): { signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  let first = 0;
  const handle = (): void => {
    if (!controller.signal.aborted) {
      first = performance.now();
      onFirst();
      controller.abort();
    } else if (performance.now() - first > SAME_SIGNAL_MS) {
      process.exit(130);
    }
  };
  for (const signal of SIGNALS) process.on(signal, handle);
  return {
    signal: controller.signal,
    dispose() {
      for (const signal of SIGNALS) process.off(signal, handle);
    },
  };
}
