/**
 * The watch over the processes of an MPI run: every two seconds each sends its heartbeat to process 0, and process 0 to all. One
 * that has stopped, or whose device no longer answers, is given up.
 */
import { integers, type MpiLibrary } from './mpiLibrary.ts';

export const HEARTBEAT_MS = 2000;
const HEARTBEAT_TAG = 7;

/** What is known of another process: when it was heard last, and for how long its device had then not answered. */
interface Pulse {
  at: number;
  stuckMs: number;
}

/** The heartbeat to another process: one at a time is on its way. */
interface Heartbeat {
  memory: Int32Array;
  request: Int32Array;
  sending: boolean;
}

export interface WatchOptions {
  rank: number;
  size: number;
  /** Milliseconds without a sign of life after which a process is given up. */
  timeoutMs: number;
  /** `what` has happened: 'has given no sign of life for 46 s'. */
  giveUp(rank: number, what: string): void;
}

export class Watch {
  /** Waits for the device; without it the device is not watched. */
  probe: (() => Promise<void>) | null = null;
  private readonly mpi: MpiLibrary;
  private readonly options: WatchOptions;
  /** Those that this process sends to and hears from. */
  private readonly others: readonly number[];
  private readonly pulses: Pulse[];
  /** Since when the device has been asked for an answer. */
  private askedAt: number | null = null;
  private looked = performance.now();
  private readonly flag = integers(1);
  private readonly status = integers(16);
  private readonly beats: readonly Heartbeat[];
  private readonly heard = integers(4);

  constructor(mpi: MpiLibrary, options: WatchOptions) {
    this.mpi = mpi;
    this.options = options;
    const { rank, size } = options;
    this.others = rank === 0 ? Array.from({ length: size - 1 }, (_, i) => i + 1) : [0];
    this.pulses = Array.from({ length: size }, () => ({ at: this.looked, stuckMs: 0 }));
    this.beats = this.pulses.map(() => ({ memory: integers(4), request: integers(2), sending: false }));
  }

  /** Sends this process's heartbeat, hears those of the others, and looks whether one has stopped. No call of MPI may be running. */
  beat(): void {
    if (this.probe && this.askedAt === null) {
      this.askedAt = performance.now();
      this.probe().then(
        () => (this.askedAt = null),
        () => (this.probe = null), // a device that is lost says so elsewhere
      );
    }
    for (const rank of this.others) {
      this.sendTo(rank);
      while (this.hear(rank));
    }
    this.look();
  }

  /** Whether every heartbeat that was sent has left. Receives those that have arrived. */
  drained(): boolean {
    for (const rank of this.others) while (this.hear(rank));
    return this.beats.every((beat) => this.hasLeft(beat));
  }

  private sendTo(rank: number): void {
    const { functions, world, byte } = this.mpi;
    const beat = this.beats[rank]!;
    const { memory, request } = beat;
    if (!this.hasLeft(beat)) return;
    beat.sending = true;
    memory[0] = this.askedAt === null ? 0 : performance.now() - this.askedAt;
    functions.MPI_Isend(...[memory, 16, byte, rank, HEARTBEAT_TAG, world, request]);
  }

  private hasLeft(beat: Heartbeat): boolean {
    if (beat.sending) {
      this.mpi.functions.MPI_Test(beat.request, this.flag, this.status);
      beat.sending = this.flag[0] === 0;
    }
    return !beat.sending;
  }

  private hear(rank: number): boolean {
    const { functions, world, byte } = this.mpi;
    functions.MPI_Iprobe(rank, HEARTBEAT_TAG, world, this.flag, this.status);
    if (this.flag[0] === 0) return false;
    functions.MPI_Recv(...[this.heard, 16, byte, rank, HEARTBEAT_TAG, world, this.status]);
    this.pulses[rank] = { at: performance.now(), stuckMs: this.heard[0]! };
    return true;
  }

  /** Process 0 watches all; the others watch process 0, the first of them first. */
  private look(): void {
    const { rank: own, timeoutMs, giveUp } = this.options;
    const now = performance.now();
    // A process that was stopped or busy itself has heard nobody meanwhile.
    const asleep = now - this.looked > 2 * HEARTBEAT_MS;
    this.looked = now;
    if (asleep) for (const pulse of this.pulses) pulse.at = now;
    const timeout = timeoutMs + (own === 0 ? 0 : 3 * HEARTBEAT_MS * (own - 1));
    for (const rank of this.others) {
      const { at, stuckMs } = this.pulses[rank]!;
      const silentMs = now - at;
      if (Math.max(silentMs, stuckMs) <= timeout) continue;
      const what = silentMs > timeout ? 'has given no sign of life' : 'has a device that has not answered';
      giveUp(rank, `${what} for ${Math.round(Math.max(silentMs, stuckMs) / 1000)} s`);
      return;
    }
  }
}
