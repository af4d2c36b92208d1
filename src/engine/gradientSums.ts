/**
 * The gradients of an update over several images, one backward pass each, added in the order of treeSum.ts.
 *
 * Each image's gradient is computed by itself, so the sum is the same whichever images a process has. A parameter's own `grad`
 * is the first of a stack of buffers; an image's gradient goes to the top of the stack and is added to the sum below it once
 * that is its other half. So an update of N images needs log2(N) + 1 times the memory of one gradient at most, and an
 * update of one image needs nothing besides `grad`.
 */
import { accumulateSets, sumsAtOnce } from '../kernels/elementwise.ts';
import type { Tensor } from './tensor.ts';
import { type TreeNode, TreeSum } from './treeSum.ts';

/** Adds each `term` to its `sum`, tensors of equal size, several in a dispatch. */
export function addInto(pairs: readonly { sum: Tensor; term: Tensor }[]): void {
  const gpu = pairs[0]?.sum.gpu;
  if (!gpu) return;
  const count = sumsAtOnce(gpu.device.limits.maxStorageBuffersPerShaderStage);
  for (let first = 0; first < pairs.length; first += count) {
    const sets = pairs.slice(first, first + count);
    const buffers: Record<string, Tensor> = {};
    const uniforms: Record<string, number> = {};
    sets.forEach(({ sum, term }, k) => {
      buffers[`x${k}`] = term;
      buffers[`y${k}`] = sum;
      uniforms[`n${k}`] = sum.size;
    });
    gpu.run(accumulateSets(sets.length), buffers, uniforms);
  }
}

export class GradientSums {
  private readonly parameters: readonly Tensor[];
  /** By level of the stack: the buffer of each parameter. */
  private readonly levels: Map<Tensor, Tensor>[] = [];
  private readonly tree = new TreeSum<number>((sum, term) => this.addLevel(sum, term));

  /** Those of `parameters` that do not require a gradient are left alone. */
  constructor(parameters: readonly Tensor[]) {
    this.parameters = parameters.filter(({ requiresGrad }) => requiresGrad);
  }

  /** Runs `backward`, which computes the gradients of the image at `place`, and adds them. The places come in order. */
  add(place: number, backward: () => void): void {
    const level = this.tree.waiting.length;
    this.levels[level] ??= new Map();
    this.give(level);
    for (const parameter of this.parameters) parameter.clearGrad();
    backward();
    this.keep(level);
    this.tree.push({ start: place, size: 1, sum: level });
  }

  /** All images are in: adds what is left. Every parameter's `grad` is the sum. */
  finish(): void {
    this.tree.finish();
    this.give(0);
  }

  /** All images are in: the sums as far as they are whole nodes of the tree, by parameter, and the places they are of. */
  nodes(): TreeNode<ReadonlyMap<Tensor, Tensor>>[] {
    const nodes = this.tree.waiting.map((node) => ({ ...node, sum: this.levels[node.sum]! }));
    this.tree.waiting.length = 0;
    return nodes;
  }

  /** For `Gpu.compile`: uses the kernel that adds, with the gradients that there are. */
  rehearse(): void {
    const gradients = this.parameters.flatMap(({ grad }) => grad ?? []);
    addInto(gradients.map((sum) => ({ sum, term: sum })));
  }

  /** Frees every buffer but those of `grad`. */
  dispose(): void {
    if (this.levels.length > 0) this.give(0);
    for (const buffers of this.levels.slice(1)) buffers.forEach((buffer) => buffer.dispose());
    this.levels.length = 0;
  }

  /** Makes the buffers of a level the gradients of their parameters. */
  private give(level: number): void {
    const buffers = this.levels[level]!;
    for (const parameter of this.parameters) {
      const own = level === 0 && this.levels.length === 1;
      if (!own) parameter.grad = buffers.get(parameter) ?? null;
    }
  }

  private keep(level: number): void {
    for (const parameter of this.parameters) {
      const { grad } = parameter;
      if (grad) this.levels[level]!.set(parameter, grad);
    }
  }

  private addLevel(sum: number, term: number): void {
    const [sums, terms] = [this.levels[sum]!, this.levels[term]!];
    const both = [...terms].filter(([parameter]) => sums.has(parameter));
    addInto(both.map(([parameter, gradient]) => ({ sum: sums.get(parameter)!, term: gradient })));
    // An image may leave a parameter without a gradient.
    for (const [parameter, gradient] of terms) {
      if (sums.has(parameter)) continue;
      sums.set(parameter, gradient);
      terms.delete(parameter);
    }
  }
}
