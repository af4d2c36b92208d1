/** Steps between two lines of metrics.jsonl. */
export const LOG_INTERVAL = 10;

/**
 * A line of metrics.jsonl: means since the line before, seconds of training (without the compilation of shaders) and of waiting
 * for data so far.
 */
export type MetricsLine<Term extends string> = Record<Term, number> & {
  step: number;
  lr: number;
  loss: number;
  seconds: number;
  data_seconds: number;
};
