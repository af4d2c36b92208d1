/** Steps between two lines of metrics.jsonl. */
export const LOG_INTERVAL = 10;

/**
 * A line of metrics.jsonl: means since the previous line, and the seconds so far of training (without compiling shaders) and of
 * waiting for data.
 */
export type MetricsLine<Term extends string> = Record<Term, number> & {
  step: number;
  lr: number;
  loss: number;
  seconds: number;
  data_seconds: number;
};
