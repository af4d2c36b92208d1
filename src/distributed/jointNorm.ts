/**
 * The norm of gradients that are divided between processes: the bits of `clipGradNorm` in a single process.
 *
 * The squares are added in chunks of CLIP_CHUNK values of a parameter, and shards are cut between chunks. So each process adds
 * the chunks of its shard; all then get everybody's sums, a number for 4096 gradients, put them in the order of a single process
 * and find the norm with its kernel. The additions stay on the devices, as those of the gradients do.
 */
import { addSquares, findClipFactor } from '../engine/clipGradients.ts';
import { Readback } from '../engine/readback.ts';
import type { Tensor } from '../engine/tensor.ts';
import { CLIP_CHUNK, squareChunks } from '../kernels/clipGradients.ts';
import type { Processes } from './processes.ts';

/** Values of one parameter, from the beginning of a chunk to the end of one. */
export interface Span {
  parameter: Tensor;
  first: number;
  count: number;
}

export class JointNorm {
  private readonly processes: Processes;
  /** Where the sums of each process's spans go in `partials`, and how many they are. */
  private readonly places: readonly (readonly { at: number; count: number }[])[];
  /** Sums of this process's shard and of all of them, a float32 for each chunk. */
  private readonly own: Tensor;
  private readonly read: Readback;
  private readonly gathered: Uint8Array;
  private readonly partials: Tensor;
  private readonly norm: Tensor;
  /** [1], by which the gradients are to be multiplied. */
  private readonly factor: Tensor;
  /** How many of this process's sums are recorded. */
  private added = 0;

  /** `parameters`: in the order of a single process. `shards`: by process, in the order in which its gradients will be added. */
  constructor(parameters: readonly Tensor[], shards: readonly (readonly Span[])[], processes: Processes) {
    this.processes = processes;
    const starts = new Map<Tensor, number>();
    let total = 0;
    for (const parameter of parameters) {
      starts.set(parameter, total);
      total += squareChunks(parameter.size);
    }
    this.places = shards.map((spans) =>
      spans.map(({ parameter, first, count }) => ({
        at: starts.get(parameter)! + first / CLIP_CHUNK,
        count: squareChunks(count),
      })),
    );
    const { gpu } = parameters[0]!;
    const made = (size: number, name: string): Tensor => {
      const tensor = gpu.empty([size], 'f32', name);
      tensor.persistent = true;
      return tensor;
    };
    const own = sumsOf(this.places[processes.rank]!);
    this.own = made(own, "squares of the shard's gradients");
    this.read = new Readback(gpu, own, "squares of the shard's gradients");
    this.gathered = new Uint8Array(4 * total);
    this.partials = made(total, 'squares of gradients');
    this.norm = made(1, 'norm of the gradients');
    this.factor = made(1, 'factor of the gradients');
  }

  /** Records the sums of the squares of the next of this process's spans. */
  add(grads: readonly Tensor[]): void {
    this.added = addSquares(grads, this.own, this.added);
  }

  /** Once every process has added all of its spans: the factor [1] that scales the gradients to a norm of `maxNorm` at most. */
  async clipFactor(maxNorm: number, divisor: number): Promise<Tensor> {
    const { own, read, places, partials, norm, factor } = this;
    this.added = 0;
    read.copy(own, 0, own.size, 0);
    await this.processes.communicator.gather(
      await read.map(),
      this.gathered,
      places.map((spans) => 4 * sumsOf(spans)),
    );
    read.unmap();
    const gathered = new Float32Array(this.gathered.buffer);
    const inOrder = new Float32Array(gathered.length);
    let from = 0;
    for (const { at, count } of places.flat()) {
      inOrder.set(gathered.subarray(from, from + count), at);
      from += count;
    }
    partials.write(inOrder);
    findClipFactor({ partials, norm, factor }, maxNorm, divisor);
    return factor;
  }

  dispose(): void {
    this.read.dispose();
    for (const tensor of [this.own, this.partials, this.norm, this.factor]) tensor.dispose();
  }
}

const sumsOf = (places: readonly { count: number }[]): number => places.reduce((sum, { count }) => sum + count, 0);
