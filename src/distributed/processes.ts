/**
 * The processes that train together. Each runs the same program; process 0 leads: it has the run directory and the terminal, and
 * what it decides the others are told. Without `--distributed` there is one process, `ALONE`, and nothing is sent.
 */
import { UserError } from '../engine/errors.ts';
import type { Communicator, Traffic } from './communicator.ts';

/** Thrown by every process alike: whose it is does not matter. */
export class CommonError extends UserError {}

/** Consecutive places of an update: its images, or micro-batches of them, from `first` to the one before `end`. */
export interface Places {
  first: number;
  end: number;
}

/** How many of `count` things process `rank` of `size` begins at; the shares differ by one at most. */
const cut = (count: number, rank: number, size: number): number => Math.floor((count * rank) / size);

/** Which of the `count` places of an update process `rank` of `size` computes. */
export const placesOf = (count: number, rank: number, size: number): Places => ({
  first: cut(count, rank, size),
  end: cut(count, rank + 1, size),
});

export class Processes {
  readonly communicator: Communicator;

  constructor(communicator: Communicator) {
    this.communicator = communicator;
  }

  get rank(): number {
    return this.communicator.rank;
  }

  get size(): number {
    return this.communicator.size;
  }

  get traffic(): Readonly<Traffic> {
    return this.communicator.traffic;
  }

  nameOf(rank: number): string {
    return this.communicator.nameOf(rank);
  }

  /** Whether this process writes and prints. */
  get leads(): boolean {
    return this.rank === 0;
  }

  /** The places of an update with `count` of them, of this process or another. */
  places(count: number, rank = this.rank): Places {
    return placesOf(count, rank, this.size);
  }

  /** Which of `count` images, one after the other, are this process's: every `size`-th. */
  takes(index: number): boolean {
    return index % this.size === this.rank;
  }

  /** Whether any process says so. */
  async any(says: boolean): Promise<boolean> {
    if (this.size === 1) return says;
    return (await this.communicator.meet(Number(says))).includes(1);
  }

  /** What `decide` gives in process 0, where alone it runs, in every process. It must be a JSON value or undefined. */
  async lead<T>(decide: () => T | Promise<T>): Promise<T> {
    if (this.size === 1) return decide();
    const decided = this.leads ? await decide() : undefined;
    const [first] = await this.texts(JSON.stringify(decided) ?? '');
    return this.leads ? (decided as T) : first === '' ? (undefined as T) : (JSON.parse(first!) as T);
  }

  /** Everybody's bytes, in the order of the ranks. */
  async all(own: Uint8Array): Promise<Uint8Array[]> {
    if (this.size === 1) return [own];
    // Lengths that need more than 30 bits go as two words.
    const low = await this.communicator.meet(own.length % WORD);
    const high = await this.communicator.meet(Math.floor(own.length / WORD));
    const lengths = low.map((length, rank) => length + WORD * high[rank]!);
    const into = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    await this.communicator.gather(own, into, lengths);
    let at = 0;
    return lengths.map((length) => into.subarray(at, (at += length)));
  }

  /** Everybody's text, in the order of the ranks. */
  async texts(own: string): Promise<string[]> {
    const bytes = await this.all(new TextEncoder().encode(own));
    return bytes.map((each) => new TextDecoder().decode(each));
  }

  /** Everybody's value, a JSON value, in the order of the ranks. */
  async values<T>(own: T): Promise<T[]> {
    if (this.size === 1) return [own];
    return (await this.texts(JSON.stringify(own))).map((text) => JSON.parse(text) as T);
  }

  /** Overwrites `bytes` with those of process 0. */
  async share(bytes: Uint8Array): Promise<void> {
    if (this.size === 1) return;
    const counts = Array.from({ length: this.size }, (_, rank) => (rank === 0 ? bytes.length : 0));
    const own = this.leads ? bytes.slice() : new Uint8Array(0);
    await this.communicator.gather(own, bytes, counts);
  }
}

const WORD = 2 ** 24;

const nothing: Traffic = { sent: 0, received: 0, calls: 0, milliseconds: 0, waited: 0 };
const apart = (): never => {
  throw new Error('there is only one process');
};

/** This process by itself. */
export const ALONE = new Processes({
  rank: 0,
  size: 1,
  traffic: nothing,
  nameOf: apart,
  gather: apart,
  exchange: apart,
  meet: apart,
});

/** Throws where an update has fewer micro-batches than there are processes. `setting` is where the number of images is set. */
export function assertEnoughImages(
  { size }: Processes,
  { imagesPerStep: images, microBatch = 1 }: { imagesPerStep: number; microBatch?: number | undefined },
  setting: string,
): void {
  const most = images / microBatch;
  if (size <= most) return;
  const even = Array.from({ length: most }, (_, i) => i + 1).filter((count) => most % count === 0);
  const apart = microBatch === 1 ? '' : `, ${microBatch} at once`;
  throw new CommonError(
    `--distributed: ${size} processes cannot share an update of ${images} image${images === 1 ? '' : 's'}${apart}; start at most ${most} (${even.join(', ')} share evenly), or set ${setting} to ${size * microBatch} or more`,
  );
}
