/**
 * An optimiser whose state is divided between processes (Rajbhandari et al. 2020, ZeRO stage 1): every process holds all weights,
 * and what the rule keeps (a momentum, Adam's two moments) for its own shard of them. An update:
 *   1  each process has the sums of its images' gradients, as nodes of the tree of treeSum.ts
 *   2  it sends every other process that process's shard of these sums, and gets those of its own shard
 *   3  it adds them in the order of the tree, bounds them (`clipValue`, `clipNorm`), and applies the rule to its shard, with the
 *      kernels of a single process
 *   4  it sends its shard's new weights to all
 * MPI moves bytes and never adds, and a float32 is the same 32 bits everywhere: so the weights are, bit for bit, those of a
 * single process, however many there are. Frozen parameters do not travel.
 *
 * Parameters are exchanged in buckets, the last layers first. All buffers and staging memory are made at the first update.
 * The joint norm of the gradients (jointNorm.ts) is known once all buckets have come; the rule is applied after that.
 */
import { clampGradients, scaleGradients } from '../engine/clipGradients.ts';
import { addInto, type GradientNode } from '../engine/gradientSums.ts';
import { expectRate, expectStep, type ParameterGroup, trained, type UpdateRule } from '../engine/optimizer.ts';
import type { Tensor } from '../engine/tensor.ts';
import { TreeSum } from '../engine/treeSum.ts';
import { fromBf16, toBf16 } from './bf16.ts';
import type { Processes } from './processes.ts';
import { type Bucket, forgetWhole, Kept, type Layout, layOut, type Slot, sumOf, valuesOf } from './shardLayout.ts';

/** As in TrainingConfig. */
interface Settings {
  learningRate: number;
  bf16Gradients?: boolean;
  clipNorm?: number | undefined;
  clipValue?: number | undefined;
}

/** What the updates so far took in this process, besides computing gradients. Times are in milliseconds. */
export interface UpdateCost {
  updates: number;
  /** Bytes sent to other processes, and received from them. */
  sent: number;
  received: number;
  /** Moving bytes between processes, and before that waiting for a slower one. */
  moving: number;
  waiting: number;
  /** Writing what was received to the device, and recording the additions and the update. */
  uploading: number;
}

export class ShardedOptimizer {
  learningRate: number;
  readonly slots: readonly Slot[];
  /** Steps made so far: to be set where the slots of process 0 are filled from a file. */
  updates = 0;
  readonly cost: UpdateCost = { updates: 0, sent: 0, received: 0, moving: 0, waiting: 0, uploading: 0 };
  private readonly rule: UpdateRule;
  private readonly processes: Processes;
  private readonly images: number;
  private readonly bf16: boolean;
  private readonly clipNorm: number | undefined;
  private readonly clipValue: number | undefined;
  private layout: Layout | null = null;
  /** By bucket: sums of this update that are being read already. */
  private reading: Promise<Uint8Array>[] = [];

  /**
   * `images`: of an update. Parameters that do not require a gradient are left alone. `bf16Gradients`: sums travel as bfloat16,
   * which halves their bytes and makes the result depend on the number of processes. `clipNorm`, `clipValue`: bounds for the
   * gradients of an update, as those of `clipGradNorm` and `clipGradValue`, which comes first.
   */
  constructor(
    parameters: readonly (Tensor | ParameterGroup)[],
    rule: UpdateRule,
    { learningRate, bf16Gradients = false, clipNorm, clipValue }: Settings,
    images: number,
    processes: Processes,
  ) {
    expectRate(rule.name, 'learningRate', learningRate);
    this.rule = rule;
    this.learningRate = learningRate;
    this.images = images;
    this.bf16 = bf16Gradients;
    this.clipNorm = clipNorm;
    this.clipValue = clipValue;
    this.processes = processes;
    this.slots = trained(rule.name, parameters).map((slot) => ({
      ...slot,
      state: Object.fromEntries(rule.states.map((name) => [name, new Kept(slot.parameter)])),
    }));
  }

  zeroGrad(): void {
    for (const { parameter } of this.slots) parameter.clearGrad();
  }

  /** An update by the sums of all processes; every process calls it with its own. */
  async step(nodes: readonly GradientNode[], divisor: number): Promise<void> {
    expectStep(this.rule.name, this.learningRate, divisor);
    this.updates++;
    const layout = (this.layout ??= this.layOut(nodes));
    const { buckets, norm } = layout;
    const { traffic } = this.processes;
    const before = { ...traffic };
    const reading = buckets.map((bucket, i) => this.reading[i] ?? this.read(bucket, nodes));
    this.reading = [];
    const updated: { bucket: Bucket; weights: Promise<Uint8Array> }[] = [];
    const update = (bucket: Bucket, factor?: Tensor): void => {
      const weights = this.update(bucket, divisor, factor);
      weights.catch(() => {}); // it is awaited in its turn
      updated.push({ bucket, weights });
    };
    for (const [i, bucket] of buckets.entries()) {
      await this.exchange(bucket, layout, await reading[i]!);
      this.addUp(bucket, layout, divisor);
      if (norm) continue;
      update(bucket);
      // The weights before these have been computed meanwhile.
      if (updated.length > 1) await this.spread(updated.shift()!);
    }
    if (norm) {
      const factor = await norm.clipFactor(this.clipNorm!, divisor);
      for (const bucket of buckets) update(bucket, factor);
    }
    for (const each of updated) await this.spread(each);
    const { cost } = this;
    cost.updates++;
    cost.sent += traffic.sent - before.sent;
    cost.received += traffic.received - before.received;
    cost.waiting += traffic.waited - before.waited;
    cost.moving += traffic.milliseconds - before.milliseconds - (traffic.waited - before.waited);
  }

  /**
   * For the backward pass of this process's last image in an update, as `BackwardOptions.onGradient`: a bucket's sums are read as
   * soon as they are recorded, so that they travel while the device computes the gradients of earlier layers. `recorded`: of
   * `GradientSums.add`. Undefined in the first update.
   */
  early(recorded: (parameters: readonly Tensor[]) => readonly GradientNode[]): ((leaf: Tensor) => void) | undefined {
    const { layout } = this;
    if (!layout) return undefined;
    const { buckets } = layout;
    const missing = buckets.map(({ slots }) => slots.length);
    return (leaf) => {
      const at = buckets.findIndex(({ slots }) => slots.some(({ parameter }) => parameter === leaf));
      if (at < 0 || --missing[at]! > 0) return;
      const parameters = buckets[at]!.slots.map(({ parameter }) => parameter);
      this.reading[at] = this.read(buckets[at]!, recorded(parameters));
    };
  }

  private layOut(nodes: readonly GradientNode[]): Layout {
    const ready = this.slots.filter(({ parameter }) => nodes.every(({ sum }) => sum.has(parameter)));
    if (ready.length === 0) {
      throw new Error(
        `${this.rule.name}: no parameter has a gradient; call backward() on a loss that depends on them first`,
      );
    }
    const { processes, images, bf16, clipNorm } = this;
    return layOut(ready, { processes, places: images, bf16, norm: clipNorm !== undefined });
  }

  /** Copies this process's sums to where they can be read, in the order in which they are sent. */
  private read({ segments, sums }: Bucket, nodes: readonly GradientNode[]): Promise<Uint8Array> {
    let at = 0;
    for (const shard of segments) {
      for (const { sum } of nodes) {
        for (const { slot, first, count } of shard) {
          sums.copy(sum.get(slot.parameter)!, first, count, at);
          at += count;
        }
      }
    }
    const bytes = sums.map();
    bytes.catch(() => {}); // it is awaited in its turn
    return bytes;
  }

  private async exchange(bucket: Bucket, { nodes }: Layout, sums: Uint8Array): Promise<void> {
    const { rank, communicator } = this.processes;
    const { segments, received, halves } = bucket;
    const own = nodes[rank]!;
    if (halves) toBf16(new Uint32Array(sums.buffer, sums.byteOffset, sums.length / 4), halves.sent);
    const bytes = halves ? 2 : 4;
    await communicator.exchange(
      halves ? new Uint8Array(halves.sent.buffer) : sums,
      segments.map((shard) => bytes * own * valuesOf(shard)),
      halves ? new Uint8Array(halves.received.buffer) : received,
      nodes.map((count) => bytes * count * valuesOf(segments[rank]!)),
    );
    bucket.sums.unmap();
    if (halves) fromBf16(halves.received, new Uint32Array(received.buffer));
  }

  /** Adds up the gradients that were received for this process's shard, and bounds each of their elements. */
  private addUp({ own, received }: Bucket, { all, norm }: Layout, divisor: number): void {
    const started = performance.now();
    const values = new Float32Array(received.buffer);
    const tree = new TreeSum<number>((sum, term) =>
      addInto(own.map(({ grads }) => ({ sum: grads[sum]!, term: grads[term]! }))),
    );
    let at = 0;
    all.forEach((_, node) => {
      for (const { grads, count } of own) {
        const { gpu, storage } = grads[node]!;
        gpu.write(storage, values.subarray(at, (at += count)));
      }
    });
    all.forEach(({ start, size }, node) => tree.push({ start, size, sum: node }));
    tree.finish();
    const sums = own.map(sumOf);
    if (this.clipValue !== undefined) clampGradients(sums, this.clipValue, divisor);
    norm?.add(sums);
    this.cost.uploading += performance.now() - started;
  }

  /** Updates the weights of this process's shard, which are then read. `factor`: of the gradients. */
  private update({ own, weights }: Bucket, divisor: number, factor?: Tensor): Promise<Uint8Array> {
    const started = performance.now();
    if (factor) scaleGradients(own.map(sumOf), factor);
    this.rule.apply(
      own.map((segment) => ({
        weights: segment.weights,
        state: segment.state,
        grad: sumOf(segment),
        rate: segment.slot.rate,
        decay: segment.slot.decay,
      })),
      { learningRate: this.learningRate, divisor, number: this.updates },
    );
    let at = 0;
    for (const { weights: part, count } of own) {
      weights.copy(part, 0, count, at);
      at += count;
    }
    const read = weights.map();
    this.cost.uploading += performance.now() - started;
    return read;
  }

  /** Sends the new weights to all, and takes theirs. */
  private async spread(updated: { bucket: Bucket; weights: Promise<Uint8Array> }): Promise<void> {
    const { slots, segments, weights, gathered } = updated.bucket;
    await this.processes.communicator.gather(
      await updated.weights,
      gathered,
      segments.map((shard) => 4 * valuesOf(shard)),
    );
    weights.unmap();
    const started = performance.now();
    const values = new Float32Array(gathered.buffer);
    let at = 0;
    for (const { parameter } of slots) {
      parameter.write(values.subarray(at, (at += parameter.size)));
    }
    this.cost.uploading += performance.now() - started;
  }

  /** For a checkpoint: gives process 0 everything that is kept, which its `slots` then read. Every process calls it. */
  async collect(): Promise<void> {
    for (const bucket of this.layout?.buckets ?? [])
      for (const name of this.rule.states) await this.collectState(bucket, name);
  }

  private async collectState({ own, segments, slots }: Bucket, name: string): Promise<void> {
    const { processes } = this;
    const mine = new Float32Array(valuesOf(own));
    let at = 0;
    for (const { state, count } of own) {
      mine.set((await state[name]!.read()) as Float32Array, at);
      at += count;
    }
    // Nobody but process 0 needs it.
    const counts = segments.map((shard) => 4 * valuesOf(shard));
    const to = counts.map((_, rank) => (rank === 0 ? 4 * mine.length : 0));
    const from = processes.leads ? counts : counts.map(() => 0);
    const whole = new Float32Array(from.reduce((sum, count) => sum + count, 0) / 4);
    await processes.communicator.exchange(new Uint8Array(mine.buffer), to, new Uint8Array(whole.buffer), from);
    if (!processes.leads) return;
    at = 0;
    for (const { state } of slots) state[name]!.whole = whole.slice(at, (at += state[name]!.size));
  }

  /** Frees what `collect` has gathered. */
  forget(): void {
    for (const { slots } of this.layout?.buckets ?? []) forgetWhole(slots);
  }

  /** After process 0 has filled its slots, and `updates`, from a file: gives them to all. Every process calls it. */
  async share(): Promise<void> {
    const { processes, slots } = this;
    this.updates = await processes.lead(() => this.updates);
    for (const { state } of slots) {
      for (const kept of Object.values(state)) {
        const values = kept.whole ?? new Float32Array(kept.size);
        await processes.share(new Uint8Array(values.buffer));
        kept.whole = values;
      }
    }
  }

  /** Frees what is kept, and the gradients. */
  dispose(): void {
    for (const { parameter } of this.slots) parameter.freeGrad();
    for (const { own, sums, weights } of this.layout?.buckets ?? []) {
      sums.dispose();
      weights.dispose();
      for (const { weights: part, state, grads } of own)
        [part, ...Object.values(state), ...grads].forEach((tensor) => tensor.dispose());
    }
    this.layout?.norm?.dispose();
    this.layout = null;
  }
}
