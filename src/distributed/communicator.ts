/** What a distributed run needs of its processes: byte transport, in which every process takes part in every call. */

export interface Traffic {
  /** Bytes that this process sent to others and received from them. */
  sent: number;
  received: number;
  /** Calls of `gather` and `exchange`. */
  calls: number;
  /** Milliseconds from each call to its end, waiting for slower processes included, and the share of it that was waiting. */
  milliseconds: number;
  waited: number;
}

/**
 * All processes make the same calls in the same order; a call resolves once all have made it. Bytes are moved, never added.
 * A call rejects, in every process with the same message, once any process has called `fail`.
 */
export interface Communicator {
  /** 0 to size - 1. Process 0 writes files and prints. */
  readonly rank: number;
  readonly size: number;
  readonly traffic: Readonly<Traffic>;
  /** `rank 2 on host`. */
  nameOf(rank: number): string;
  /** Everybody's bytes, in the order of their ranks: `counts[r]` of process r. `send` is this process's part. */
  gather(send: Uint8Array, into: Uint8Array, counts: readonly number[]): Promise<void>;
  /** Sends `sendCounts[r]` bytes of `send` to process r, one part after the other; receives likewise. */
  exchange(send: Uint8Array, sendCounts: readonly number[], into: Uint8Array, counts: readonly number[]): Promise<void>;
  /** Everybody's word, a small non-negative integer: cheap, and done once all processes have come this far. */
  meet(word: number): Promise<readonly number[]>;
}
