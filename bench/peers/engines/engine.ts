/** What an engine must offer to be compared. Each runs in a process of its own (worker.ts). */
import type { PeerRow } from '../rows.ts';

export interface Engine {
  /** The name of its adapter; null if it does not report one. */
  adapter: string | null;
  /** Of an engine that is no npm package. */
  version?: string;
  /** The peak of its device; only our engine measures it. */
  peakGflops?: number;
  /** Null if the engine does not have the operation. */
  prepare(row: PeerRow): Promise<PreparedRow | null>;
  close?(): void;
}

export interface PreparedRow {
  /** Computes once and waits until the device is done; for training, one step. */
  run(): Promise<void>;
  /**
   * Elements of the last result, in NCHW or KCRS order; for training, how far conv1's filters have moved;
   * for a detector, the scores of its objects, the best first, or the losses of the step in the order of LOSS_TERMS.
   */
  elements(indices: readonly number[]): Promise<number[]>;
  dispose(): void | Promise<void>;
}

export const pick = (values: ArrayLike<number>, indices: readonly number[]): number[] =>
  indices.map((index) => values[index]!);
