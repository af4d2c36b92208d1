/**
 * Communication over MPI.
 *
 * Every call begins with a meeting: a non-blocking MPI_Iallgather of one word each, polled. Whoever waits for a slower process so
 * keeps neither a core nor the event loop busy, and hears in the same word that a process has failed or wants to stop. Between
 * calls the heartbeats of watch.ts travel. MPI is called from one thread at a time
 * (MPI_THREAD_SERIALIZED): by this one, and for MPI_Test, which moves the bytes, by koffi's workers.
 */
import { hostname } from 'node:os';
import { UserError } from '../engine/errors.ts';
import type { Communicator, Traffic } from './communicator.ts';
import { integers, launchedProcesses, loadMpi, type MpiLibrary } from './mpiLibrary.ts';
import { HEARTBEAT_MS, Watch } from './watch.ts';

/** Without a sign of life for this long, a process is given up. */
export const HEARTBEAT_TIMEOUT_S = 45;
/** A call is polled without a pause for this long, and for as long as its bytes take at this many bytes a millisecond. */
const EAGER_MS = 2;
const BYTES_PER_MS = 100_000;
/** The most bytes of one MPI call to or from a process: counts are 32 bits, and a call should not take long. */
const MOST_BYTES = 2 ** 26;

/** How long a process that is done waits for the others to be. */
const PARTING_MS = 20_000;
/** The words of a meeting beside those of the caller, which are below it. */
const FAILED = 2 ** 30;

/** What another process failed with. Process 0 prints it; the others, whose user sees process 0, end without a word. */
export class RemoteFailure extends UserError {
  readonly rank: number;

  constructor(rank: number, message: string) {
    super(message);
    this.rank = rank;
  }
}

export interface MpiOptions {
  /** The library to load; otherwise the launcher's own is looked for. */
  library?: string | undefined;
  /** Seconds without a sign of life after which a process is given up. */
  heartbeatTimeout?: number | undefined;
  /** Prints the line that names a process that hangs. */
  report(line: string): void;
}

export class MpiCommunicator implements Communicator {
  readonly rank: number;
  readonly size: number;
  /** Of all processes, by rank. */
  hosts: string[] = [];
  readonly pids: number[] = [];
  readonly library: string;
  readonly traffic: Traffic = { sent: 0, received: 0, calls: 0, milliseconds: 0, waited: 0 };
  private readonly mpi: MpiLibrary;
  private readonly timeoutMs: number;
  private readonly watcher: Watch;
  /** Calls one after the other, in the order in which they were made. */
  private last: Promise<unknown> = Promise.resolve();
  /** A worker is inside MPI; a heartbeat then waits until it is back. */
  private busy = false;
  private beatDue = false;
  private failure: string | null = null;
  private over = false;
  private readonly timer: NodeJS.Timeout;
  private readonly inUse = new Set<readonly ArrayBufferView[]>();
  private readonly flag = integers(1);
  private readonly status = integers(16);
  private readonly request = integers(2);
  private readonly words: { own: Int32Array; all: Int32Array };

  private constructor(mpi: MpiLibrary, { heartbeatTimeout = HEARTBEAT_TIMEOUT_S, report }: MpiOptions) {
    this.mpi = mpi;
    this.library = mpi.name;
    this.timeoutMs = 1000 * heartbeatTimeout;
    const { functions, world } = mpi;
    const number = integers(1);
    functions.MPI_Comm_rank(world, number);
    this.rank = number[0]!;
    functions.MPI_Comm_size(world, number);
    this.size = number[0]!;
    this.words = { own: integers(1), all: integers(this.size) };
    this.watcher = new Watch(mpi, {
      rank: this.rank,
      size: this.size,
      timeoutMs: this.timeoutMs,
      giveUp: (rank, what) => {
        report(`${this.nameOf(rank)} ${what}; all processes end`);
        this.abort();
      },
    });
    this.timer = setInterval(() => this.beatSoon(), HEARTBEAT_MS);
    this.timer.unref();
  }

  /** Joins the processes that the launcher started with this one; a process without a launcher is alone. */
  static async open(options: MpiOptions): Promise<MpiCommunicator> {
    const mpi = loadMpi(options.library);
    const provided = integers(1);
    mpi.functions.MPI_Init_thread(null, null, mpi.serialized, provided);
    if (provided[0]! < mpi.serialized) {
      throw new UserError(
        `--distributed: ${mpi.name} allows MPI calls of one thread only (level ${provided[0]}); use a build with threads`,
      );
    }
    const communicator = new MpiCommunicator(mpi, options);
    const launched = launchedProcesses();
    if (launched !== undefined && launched !== communicator.size) {
      throw new UserError(
        `--distributed: the launcher started ${launched} processes, but ${mpi.name} sees ${communicator.size}: it belongs to another MPI; name the launcher's own with --mpi-library`,
      );
    }
    const identities = await communicator.texts(JSON.stringify({ host: hostname(), pid: process.pid }));
    for (const { host, pid } of identities.map((text) => JSON.parse(text) as { host: string; pid: number })) {
      communicator.hosts.push(host);
      communicator.pids.push(pid);
    }
    return communicator;
  }

  /** `rank 2 on host`. */
  nameOf(rank: number): string {
    return `rank ${rank} on ${this.hosts[rank] ?? 'an unknown host'}`;
  }

  /** From now on a device that does not answer counts as a process that hangs. `probe` waits for the device. */
  watch(probe: () => Promise<void>): void {
    this.watcher.probe = probe;
  }

  meet(word: number): Promise<readonly number[]> {
    return this.inOrder(() => this.meeting(word));
  }

  gather(send: Uint8Array, into: Uint8Array, counts: readonly number[]): Promise<void> {
    return this.inOrder(async () => {
      const { functions, world, byte } = this.mpi;
      const started = performance.now();
      await this.meeting(0);
      const met = performance.now();
      const starts = startsOf(counts);
      const own = counts[this.rank]!;
      // Large parts go in pieces: everybody's first piece, then everybody's second.
      for (let at = 0; at < Math.max(1, ...counts); at += MOST_BYTES) {
        const part = counts.map((count) => Math.max(0, Math.min(MOST_BYTES, count - at)));
        const [lengths, places] = [integersOf(part), integersOf(starts.map((start) => start + at))];
        const piece = send.subarray(at, at + part[this.rank]!);
        functions.MPI_Iallgatherv(...[piece, piece.length, byte, into, lengths, places, byte, world, this.request]);
        await this.complete(
          part.reduce((sum, count) => sum + count, 0),
          [piece, into, lengths, places],
        );
      }
      const others = counts.reduce((sum, count) => sum + count, 0) - own;
      this.count(started, met, own * (this.size - 1), others);
    });
  }

  exchange(
    send: Uint8Array,
    sendCounts: readonly number[],
    into: Uint8Array,
    counts: readonly number[],
  ): Promise<void> {
    return this.inOrder(async () => {
      const { functions, world, byte } = this.mpi;
      const started = performance.now();
      const most = await this.meeting(Math.ceil(Math.max(1, ...sendCounts, ...counts) / MOST_BYTES));
      const met = performance.now();
      const [from, to] = [startsOf(sendCounts), startsOf(counts)];
      for (let piece = 0; piece < Math.max(...most); piece++) {
        const part = (all: readonly number[]): Int32Array =>
          integersOf(all.map((count) => Math.max(0, Math.min(MOST_BYTES, count - piece * MOST_BYTES))));
        const place = (all: readonly number[]): Int32Array =>
          integersOf(all.map((start) => start + piece * MOST_BYTES));
        const kept = [part(sendCounts), place(from), part(counts), place(to)] as const;
        functions.MPI_Ialltoallv(...[send, kept[0], kept[1], byte, into, kept[2], kept[3], byte, world, this.request]);
        await this.complete(
          kept[2].reduce((sum, count) => sum + count, 0),
          [send, into, ...kept],
        );
      }
      const others = (all: readonly number[]): number =>
        all.reduce((sum, count, rank) => sum + (rank === this.rank ? 0 : count), 0);
      this.count(started, met, others(sendCounts), others(counts));
    });
  }

  /** Everybody's text, in the order of the ranks. */
  async texts(own: string): Promise<string[]> {
    const bytes = new TextEncoder().encode(own);
    const lengths = await this.meet(bytes.length);
    const all = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    await this.gather(bytes, all, lengths);
    const starts = startsOf(lengths);
    return lengths.map((length, rank) => new TextDecoder().decode(all.subarray(starts[rank]!, starts[rank]! + length)));
  }

  /**
   * This process cannot go on. Waits until the others, which hear of it at their next call, know why, but no longer than the
   * heartbeat timeout; then all end.
   */
  async fail(message: string): Promise<void> {
    if (this.over || this.failure !== null) return;
    this.failure = message;
    await Promise.race([
      this.meet(0).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, this.timeoutMs).unref()),
    ]);
  }

  /** Parts from the others: every process calls it, in success or after a failure that all know. */
  async close(): Promise<void> {
    if (this.over) return;
    clearInterval(this.timer);
    await this.last;
    this.over = true;
    const inVain = new Promise<null>((resolve) => setTimeout(() => resolve(null), PARTING_MS).unref());
    if ((await Promise.race([this.quiet(), inVain])) === null) this.abort();
    this.mpi.functions.MPI_Finalize();
  }

  /** All processes are here, and no heartbeat is on its way: MPI_Finalize may wait for ever for one that nobody receives. */
  private async quiet(): Promise<readonly number[]> {
    await this.together(0);
    while (!this.watcher.drained()) await new Promise((resolve) => setTimeout(resolve, 1));
    const words = await this.together(0);
    this.watcher.drained();
    return words;
  }

  /** Ends every process at once. */
  abort(): void {
    this.over = true;
    clearInterval(this.timer);
    this.mpi.functions.MPI_Abort(this.mpi.world, 1);
  }

  private inOrder<T>(call: () => Promise<T>): Promise<T> {
    const result = this.last.then(call);
    this.last = result.catch(() => {});
    return result;
  }

  private async meeting(word: number): Promise<readonly number[]> {
    if (this.over) throw new Error('the processes have parted');
    const words = await this.together(this.failure === null ? word : FAILED);
    if (words.includes(FAILED)) throw await this.failed(words);
    return words;
  }

  /** The words of all processes, once all are here. */
  private async together(word: number): Promise<readonly number[]> {
    const { functions, world, byte } = this.mpi;
    const { own, all } = this.words;
    own[0] = word;
    functions.MPI_Iallgather(...[own, 4, byte, all, 4, byte, world, this.request]);
    await this.complete(0, []);
    return [...all];
  }

  /** All processes are here, and some have failed: they say why. */
  private async failed(words: readonly number[]): Promise<RemoteFailure> {
    const { functions, world, byte } = this.mpi;
    const bytes = new Uint8Array(new ArrayBuffer(4096));
    const { written } = new TextEncoder().encodeInto(this.failure ?? '', bytes.subarray(4));
    new DataView(bytes.buffer).setInt32(0, written);
    const all = new Uint8Array(new ArrayBuffer(4096 * this.size));
    functions.MPI_Iallgather(...[bytes, 4096, byte, all, 4096, byte, world, this.request]);
    await this.complete(all.length, [bytes, all]);
    const rank = words.indexOf(FAILED);
    const length = new DataView(all.buffer).getInt32(4096 * rank);
    const message = new TextDecoder().decode(all.subarray(4096 * rank + 4, 4096 * rank + 4 + length));
    const where = this.size === 1 ? '' : `${this.nameOf(rank)}: `;
    return new RemoteFailure(rank, where + message);
  }

  /** Polls the request of the call that was begun. `used`: memory that MPI uses until then, which must not be collected. */
  private async complete(bytes: number, used: readonly ArrayBufferView[]): Promise<void> {
    this.inUse.add(used);
    const started = performance.now();
    const eager = EAGER_MS + bytes / BYTES_PER_MS;
    for (;;) {
      await this.test();
      if (this.flag[0] !== 0) {
        this.inUse.delete(used);
        return;
      }
      const waited = performance.now() - started;
      await new Promise<void>((resolve) => (waited < eager ? setImmediate(resolve) : setTimeout(resolve, 1)));
    }
  }

  private async test(): Promise<void> {
    this.busy = true;
    try {
      await new Promise<void>((resolve, reject) =>
        this.mpi.functions.MPI_Test.async(this.request, this.flag, this.status, (error) =>
          error ? reject(error as Error) : resolve(),
        ),
      );
    } finally {
      this.busy = false;
    }
    if (this.beatDue) this.beatSoon();
  }

  private count(started: number, met: number, sent: number, received: number): void {
    const { traffic } = this;
    traffic.calls++;
    traffic.sent += sent;
    traffic.received += received;
    traffic.milliseconds += performance.now() - started;
    traffic.waited += met - started;
  }

  private beatSoon(): void {
    this.beatDue = this.busy;
    if (!this.busy && !this.over && this.size > 1) this.watcher.beat();
  }
}

const startsOf = (counts: readonly number[]): number[] => {
  let at = 0;
  return counts.map((count) => (at += count) - count);
};

const integersOf = (values: readonly number[]): Int32Array => {
  const memory = integers(values.length);
  memory.set(values);
  return memory;
};
