/** What a comparison asks of an engine. Each runs in a process of its own (worker.ts). */
import type { PeerRow } from '../rows.ts';

export interface Engine {
  /** The name of its adapter, null where it does not tell. */
  adapter: string | null;
  /** Of this engine's own device; only ours measures it. */
  peakGflops?: number;
  /** Null where it has no such operation. */
  prepare(row: PeerRow): Promise<PreparedRow | null>;
  close?(): void;
}

export interface PreparedRow {
  /** Computes once, until the device is done; for the training step: one step. */
  run(): Promise<void>;
  /** Elements of the last result, in NCHW or KCRS order; for the training step: how far conv1's filters have moved. */
  elements(indices: readonly number[]): Promise<number[]>;
  dispose(): void | Promise<void>;
}

export const pick = (values: ArrayLike<number>, indices: readonly number[]): number[] =>
  indices.map((index) => values[index]!);
