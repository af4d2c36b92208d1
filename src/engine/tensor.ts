/** Tensors: a shape on a device buffer, row-major. Images and maps are NCHW, as in Caffe and PyTorch. */
import { copyFromSlice, sliceLayout } from '../kernels/concat.ts';
import { cast, fill } from '../kernels/elementwise.ts';
import { type BackwardOptions, type GradientTarget, type GraphNode, runBackward } from './autograd.ts';
import type { Dtype } from './dtype.ts';
import type { Gpu } from './gpu.ts';
import type { Bindable, DeviceBuffer } from './memory.ts';
import type { Disposable } from './scope.ts';
import { onTrace, valuesOperation, viewOperation } from './trace.ts';

export type Shape = readonly number[];

export const elementCount = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);

export class Tensor implements Bindable, Disposable {
  readonly gpu: Gpu;
  readonly shape: Shape;
  readonly dtype: Dtype;
  readonly size: number;
  name: string;
  /** A gradient is computed for it: it is a trained parameter or was computed from one. */
  requiresGrad = false;
  /** How it was computed, while its gradient can still be asked for. */
  node: GraphNode | null = null;
  /** The operation whose node a backward pass has used and dropped. */
  graphUsed: string | null = null;
  /** Outlives scopes. */
  persistent = false;
  private buffer: DeviceBuffer | null;
  private gradient: Tensor | null = null;
  /** `gradient` stands for zero, whatever it holds: clearing costs nothing, and the next gradient is assigned, not added. */
  private gradientCleared = false;
  /** How often the values have changed. */
  private version = 0;
  /** The values in f16, and of which version. */
  private halfCopy: Tensor | null = null;
  private halfVersion = 0;
  /** What `derive` keeps, and the tensors that it was computed from, with their versions. */
  private derived: {
    name: string;
    tensors: readonly Tensor[];
    from: readonly Tensor[];
    versions: readonly number[];
  } | null = null;

  /** Takes over one reference to `buffer`. */
  constructor(gpu: Gpu, shape: Shape, dtype: Dtype, buffer: DeviceBuffer, name: string) {
    this.gpu = gpu;
    this.shape = shape;
    this.dtype = dtype;
    this.size = elementCount(shape);
    this.buffer = buffer;
    this.name = name;
    gpu.scopes.track(this);
  }

  get storage(): DeviceBuffer {
    if (!this.buffer)
      throw new Error(`tensor ${this.name} [${this.shape}] was freed: it left its scope or was disposed`);
    return this.buffer;
  }

  get freed(): boolean {
    return this.buffer === null;
  }

  /** Accumulated by `backward`; parameters and other leaves only. */
  get grad(): Tensor | null {
    if (this.gradient && this.gradientCleared) {
      this.markCleared(false);
      this.gpu.run(fill, { y: this.gradient }, { n: this.size, value: 0 });
    }
    return this.gradient;
  }

  set grad(gradient: Tensor | null) {
    this.gradient = gradient;
    this.gradientCleared = false;
  }

  /** Sets `grad`, if there is one, to zero. */
  clearGrad(): void {
    this.markCleared(true);
  }

  /** Frees `grad`, if there is one. */
  freeGrad(): void {
    this.gradient?.dispose();
    this.grad = null;
  }

  /** For `backward`: the `grad` to write a gradient into, made if there is none. */
  gradientTarget(): GradientTarget {
    const add = this.gradient !== null && !this.gradientCleared;
    this.markCleared(false);
    if (!this.gradient) {
      this.gradient = this.gpu.empty(this.shape, 'f32', `grad ${this.name}`);
      this.gradient.persistent = this.persistent;
      this.gpu.rehearsal?.undo.push(() => (this.gradient = null));
    }
    return { sum: this.gradient, add };
  }

  /** During a rehearsal nothing may change for good. */
  private markCleared(cleared: boolean): void {
    const before = this.gradientCleared;
    this.gpu.rehearsal?.undo.push(() => (this.gradientCleared = before));
    this.gradientCleared = cleared;
  }

  /** Tensors that have to outlive a scope together with this one. */
  get companions(): readonly Disposable[] {
    return [this.gradient, this.halfCopy, ...(this.derived?.tensors ?? [])].filter((tensor) => tensor !== null);
  }

  /** The values, those of f16 as f32; waits for everything recorded so far. */
  async read(): Promise<Float32Array | Int32Array> {
    if (this.dtype === 'f16') {
      const whole = this.inDtype('f32');
      try {
        return await whole.read();
      } finally {
        whole.dispose();
      }
    }
    const bytes = await this.gpu.read(this.storage, this.size * 4);
    return this.dtype === 'f32' ? new Float32Array(bytes) : new Int32Array(bytes);
  }

  /** Replaces the values, given as a `Float32Array` or `Int32Array` of the tensor's type, or as any other list of numbers. */
  write(data: ArrayLike<number>): void {
    const what = `tensor ${this.name} [${this.shape}]`;
    if (data.length !== this.size) throw new Error(`${what} holds ${this.size} values, ${data.length} were given`);
    const [own, other] = this.dtype === 'i32' ? [Int32Array, Float32Array] : [Float32Array, Int32Array];
    if (data instanceof other) throw new Error(`${what} is ${this.dtype}, but the values given are ${other.name}`);
    if (data.length === 0) return;
    const values = data instanceof own ? data : own.from(data);
    if (this.gpu.tracing) onTrace(valuesOperation, [], this, values.slice());
    if (this.dtype === 'f16') {
      const whole = this.gpu.tensor(values, this.shape, this.name);
      this.gpu.run(cast, { x: whole, y: this }, { n: this.size });
      whole.dispose();
    } else {
      this.gpu.write(this.storage, values);
    }
    this.changed();
  }

  /** A tensor of its own with these values, each rounded to `dtype`: no operation on the tape, as `cast` is. */
  inDtype(dtype: 'f32' | 'f16'): Tensor {
    const y = this.gpu.empty(this.shape, dtype, this.name);
    this.gpu.run(cast, { x: this, y }, { n: this.size });
    return y;
  }

  /** These values in f16, for a network that computes in it: kept, and rounded again only once the values have changed. */
  half(): Tensor {
    if (this.dtype === 'f16') return this;
    const { halfCopy, halfVersion } = this;
    this.gpu.rehearsal?.undo.push(() => {
      this.halfCopy = halfCopy;
      this.halfVersion = halfVersion;
    });
    if (!this.halfCopy || this.halfCopy.freed) {
      this.halfCopy = this.inDtype('f16');
      this.halfCopy.persistent = this.persistent;
    } else if (this.halfVersion !== this.version) {
      this.gpu.run(cast, { x: this, y: this.halfCopy }, { n: this.size });
    }
    this.halfVersion = this.version;
    return this.halfCopy;
  }

  /**
   * What `make` computes from this tensor and `others`, which are constants: kept, and computed again only once one of them has
   * changed. It lives as long as this tensor, which keeps one such result: another computation, by its name, replaces it.
   */
  derive(name: string, others: readonly Tensor[], make: () => readonly Tensor[]): readonly Tensor[] {
    const from = [this, ...others];
    const kept = this.derived;
    const isSame =
      name === kept?.name &&
      from.length === kept.from.length &&
      from.every((tensor, i) => tensor === kept.from[i] && tensor.version === kept.versions[i]);
    if (kept && isSame && kept.tensors.every(({ freed }) => !freed)) return kept.tensors;
    const { rehearsal } = this.gpu;
    rehearsal?.undo.push(() => (this.derived = kept));
    if (!rehearsal) kept?.tensors.forEach((tensor) => tensor.dispose());
    const tensors = make();
    for (const tensor of tensors) tensor.persistent = this.persistent;
    this.derived = { name, tensors, from, versions: from.map(({ version }) => version) };
    return tensors;
  }

  /** To be called after a kernel has written to a tensor whose `half` or `derive` may be in use; `write` and optimisers do. */
  changed(): void {
    this.version++;
  }

  /** A tensor on the same memory with another shape of as many elements. Carries no gradient: see ops/reshape.ts. */
  view(shape: Shape, name = this.name): Tensor {
    const buffer = this.storage;
    buffer.references++;
    return onTrace(viewOperation, [this], new Tensor(this.gpu, shape, this.dtype, buffer, name), null);
  }

  /** The same values in the same memory as a constant: no gradient passes. */
  detach(): Tensor {
    return this.view(this.shape);
  }

  /** A tensor of its own with the same values. */
  copy(): Tensor {
    const copy = this.gpu.empty(this.shape, this.dtype, this.name);
    const { form, uniforms } = sliceLayout(1, this.size, 1, 0, this.size);
    this.gpu.run(copyFromSlice(form), { whole: this, part: copy }, uniforms);
    return onTrace(viewOperation, [this], copy, null);
  }

  /** Gradients of this scalar with respect to every leaf it was computed from, added to their `grad`. */
  backward(options?: BackwardOptions): void {
    runBackward(this, options);
  }

  /** Releases the memory. Using the tensor afterwards throws. */
  dispose(): void {
    if (!this.buffer) return;
    this.gpu.release(this.buffer);
    this.buffer = null;
    this.node = null;
    this.freeGrad();
    this.halfCopy?.dispose();
    this.halfCopy = null;
    this.derived?.tensors.forEach((tensor) => tensor.dispose());
    this.derived = null;
  }
}
