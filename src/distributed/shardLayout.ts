/** How the trained parameters are divided between processes: buckets, and in each a shard for every process. */
import { Readback } from '../engine/readback.ts';
import type { TrainedParameter } from '../engine/optimizer.ts';
import type { Stored } from '../engine/shards.ts';
import type { Tensor } from '../engine/tensor.ts';
import { nodesWithin } from '../engine/treeSum.ts';
import { CLIP_CHUNK } from '../kernels/clipGradients.ts';
import { JointNorm, type Span } from './jointNorm.ts';
import type { Processes } from './processes.ts';

/** Values of a bucket, at least: exchanges of a megabyte hardly cost more than their bytes do. */
const BUCKET = 2 ** 18;
/** Shards begin at multiples of this many values of a parameter; where there is a norm, at those of its chunks. */
const ALIGNED = 4;

export type Slot = TrainedParameter & { state: Readonly<Record<string, Kept>> };

/** A run of values of one parameter. */
export interface Segment {
  slot: Slot;
  /** Where it begins in the parameter, and how many values it has. */
  first: number;
  count: number;
}

/** A segment of this process's shard, on the device. */
export interface OwnSegment extends Segment {
  weights: Tensor;
  state: Readonly<Record<string, Tensor>>;
  /** Of each node, in the order of the tree; the first then becomes the sum of all. */
  grads: Tensor[];
}

export interface Bucket {
  slots: readonly Slot[];
  /** Of the shard of each process. */
  segments: readonly (readonly Segment[])[];
  own: OwnSegment[];
  sums: Readback;
  weights: Readback;
  /** Received: the sums of every node, and the weights of everybody. */
  received: Uint8Array;
  gathered: Uint8Array;
  /** Sums that travel as bfloat16, sent and received. */
  halves: { sent: Uint16Array; received: Uint16Array } | null;
}

/** What is exchanged, known once it is seen which parameters have gradients. */
export interface Layout {
  buckets: readonly Bucket[];
  /** Nodes of each process, and all of them in the order of the tree. */
  nodes: readonly number[];
  all: readonly { start: number; size: number }[];
  /** With `clipNorm`. */
  norm: JointNorm | null;
}

/** What is kept for a parameter, a momentum or a moment, as files see it: whole, in memory, between `collect` and the next update. */
export class Kept implements Stored {
  readonly dtype = 'f32';
  readonly shape: readonly number[];
  readonly size: number;
  whole: Float32Array | null = null;

  constructor({ shape, size }: Tensor) {
    this.shape = shape;
    this.size = size;
  }

  async read(): Promise<Float32Array> {
    return this.whole ?? new Float32Array(this.size);
  }

  write(data: ArrayLike<number>): void {
    this.whole = Float32Array.from(data);
  }
}

export interface LayoutOptions {
  processes: Processes;
  /** Of an update: its images, or micro-batches of them. */
  places: number;
  bf16: boolean;
  /** Whether the joint norm of the gradients will be asked for. */
  norm: boolean;
}

/** Divides the parameters, all of which have gradients, and makes all buffers and staging memory. */
export function layOut(slots: readonly Slot[], { processes, places, bf16, norm }: LayoutOptions): Layout {
  const ranks = Array.from({ length: processes.size }, (_, rank) => rank);
  const within = ranks.map((rank) => {
    const { first, end } = processes.places(places, rank);
    return nodesWithin(first, end);
  });
  const all = within.flat();
  const nodes = within.map(({ length }) => length);
  const sent = nodes[processes.rank]!;
  const aligned = norm ? CLIP_CHUNK : ALIGNED;
  const buckets = bucketsOf(slots.toReversed()).map((slots): Bucket => {
    const size = slots.reduce((sum, { parameter }) => sum + parameter.size, 0);
    const starts = [...ranks.map((rank) => shardStart(slots, (size * rank) / ranks.length, aligned)), size];
    const segments = ranks.map((rank) => segmentsOf(slots, starts[rank]!, starts[rank + 1]!));
    const own = segments[processes.rank]!.map((segment) => ownSegment(segment, all.length));
    const { gpu } = slots[0]!.parameter;
    const values = valuesOf(own);
    return {
      slots,
      segments,
      own,
      sums: new Readback(gpu, sent * size, 'gradient sums'),
      weights: new Readback(gpu, values, 'weights of the shard'),
      received: new Uint8Array(4 * all.length * values),
      gathered: new Uint8Array(4 * size),
      halves: bf16 ? { sent: new Uint16Array(sent * size), received: new Uint16Array(all.length * values) } : null,
    };
  });
  forgetWhole(slots); // what a file had is on the device now
  const spans = (rank: number): Span[] =>
    buckets.flatMap(({ segments }) =>
      segments[rank]!.map(({ slot, first, count }) => ({ parameter: slot.parameter, first, count })),
    );
  const parameters = slots.map(({ parameter }) => parameter);
  return {
    buckets,
    nodes,
    all,
    norm: norm ? new JointNorm(parameters, ranks.map(spans), processes) : null,
  };
}

/** Frees what was gathered for a file. */
export function forgetWhole(slots: readonly Slot[]): void {
  for (const { state } of slots) for (const kept of Object.values(state)) kept.whole = null;
}

export const valuesOf = (segments: readonly Segment[]): number => segments.reduce((sum, { count }) => sum + count, 0);

/** The gradients of a segment, once they are added up: the tree adds to its first node. */
export const sumOf = ({ grads }: OwnSegment): Tensor => grads[0]!;

/** The value nearest to `at`, of parameters laid end to end, that is a multiple of `aligned` in its parameter or ends it. */
function shardStart(slots: readonly Slot[], at: number, aligned: number): number {
  let start = 0;
  for (const { parameter } of slots) {
    const into = at - start;
    if (into < parameter.size) return start + Math.min(parameter.size, Math.round(into / aligned) * aligned);
    start += parameter.size;
  }
  return start;
}

/** The parts of parameters, laid end to end, that lie between two of their values. */
function segmentsOf(slots: readonly Slot[], from: number, to: number): Segment[] {
  let start = 0;
  return slots.flatMap((slot) => {
    const first = Math.max(from - start, 0);
    const last = Math.min(to - start, slot.parameter.size);
    start += slot.parameter.size;
    return first < last ? [{ slot, first, count: last - first }] : [];
  });
}

function bucketsOf(slots: readonly Slot[]): Slot[][] {
  const buckets: Slot[][] = [];
  let values = BUCKET;
  for (const slot of slots) {
    if (values >= BUCKET) {
      buckets.push([]);
      values = 0;
    }
    buckets.at(-1)!.push(slot);
    values += slot.parameter.size;
  }
  return buckets;
}

function ownSegment(segment: Segment, nodes: number): OwnSegment {
  const { slot, first, count } = segment;
  const { gpu, name } = slot.parameter;
  const made = (what: string): Tensor => {
    const tensor = gpu.empty([count], 'f32', `${what} ${name}`);
    tensor.persistent = true;
    return tensor;
  };
  const weights = made('shard');
  gpu.copy(slot.parameter, first, weights, 0, count);
  const state = Object.entries(slot.state).map(([kept, { whole }]) => {
    const tensor = made(kept);
    tensor.write(whole?.subarray(first, first + count) ?? new Float32Array(count));
    return [kept, tensor] as const;
  });
  const grads = Array.from({ length: nodes }, () => made('gradient'));
  return { ...segment, weights, state: Object.fromEntries(state), grads };
}
