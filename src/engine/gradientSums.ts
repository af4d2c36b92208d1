/**
 * The gradients of an update over several images, one backward pass each, added in the order of treeSum.ts.
 *
 * Each image's gradient is computed by itself, so the sum is the same whichever images a process has. A parameter's own `grad`
 * is the first of a stack of buffers; an image's gradient goes to the top of the stack and is added to the sum below it once
 * that is its other half. So an update of N images needs log2(N) + 1 times the memory of one gradient at most, and an
 * update of one image needs nothing besides `grad`.
 */
import { accumulateSets, sumsAtOnce } from '../kernels/elementwise.ts';
import { runSets } from './sets.ts';
import type { Tensor } from './tensor.ts';
import { type TreeNode, TreeSum } from './treeSum.ts';

/** Adds each `term` to its `sum`, tensors of equal size, several in a dispatch. */
export function addInto(pairs: readonly { sum: Tensor; term: Tensor }[]): void {
  runSets(
    pairs.map(({ sum, term }) => ({ buffers: { x: term, y: sum } })),
    sumsAtOnce,
    accumulateSets,
  );
}

/** The sum of the gradients of consecutive places, by parameter. */
export type GradientNode = TreeNode<ReadonlyMap<Tensor, Tensor>>;

export class GradientSums {
  private readonly parameters: readonly Tensor[];
  /** By level of the stack: the buffer of each parameter. */
  private readonly levels: Map<Tensor, Tensor>[] = [];
  private readonly tree = new TreeSum<number>((sum, term) => this.addLevel(sum, term, this.rest));
  /** Those whose gradients of the newest image have been added already, and those that are still to be. */
  private readonly added = new Set<Tensor>();
  private rest: readonly Tensor[];

  /** Those of `parameters` that do not require a gradient are left alone. */
  constructor(parameters: readonly Tensor[]) {
    this.parameters = parameters.filter(({ requiresGrad }) => requiresGrad);
    this.rest = this.parameters;
  }

  /**
   * Runs `backward`, which computes the gradients of the image at `place`, and adds them. The places come in order. `backward` may
   * say of parameters that their gradients are recorded: then these are added at once, and it gets the sums (`nodes`) as they
   * are for these parameters after this image.
   */
  add(place: number, backward: (recorded: (parameters: readonly Tensor[]) => GradientNode[]) => void): void {
    const level = this.tree.waiting.length;
    this.levels[level] ??= new Map();
    this.give(level);
    for (const parameter of this.parameters) parameter.clearGrad();
    this.added.clear();
    backward((parameters) => {
      this.keep(level, parameters);
      const after = new TreeSum<number>((sum, term) => this.addLevel(sum, term, parameters));
      after.waiting.push(...this.tree.waiting.map((node) => ({ ...node })));
      after.push({ start: place, size: 1, sum: level });
      parameters.forEach((parameter) => this.added.add(parameter));
      return after.waiting.map((node) => ({ ...node, sum: this.levels[node.sum]! }));
    });
    const rest = this.parameters.filter((parameter) => !this.added.has(parameter));
    this.keep(level, rest);
    this.rest = rest;
    this.tree.push({ start: place, size: 1, sum: level });
    this.rest = this.parameters;
  }

  /** All images are in: adds what is left. Every parameter's `grad` is the sum. */
  finish(): void {
    this.tree.finish();
    this.give(0);
  }

  /** All images are in: the sums as far as they are whole nodes of the tree, by parameter, and the places they are of. */
  nodes(): GradientNode[] {
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

  private keep(level: number, parameters: readonly Tensor[]): void {
    for (const parameter of parameters) {
      const { grad } = parameter;
      if (grad) this.levels[level]!.set(parameter, grad);
    }
  }

  private addLevel(sum: number, term: number, parameters: readonly Tensor[]): void {
    const [sums, terms] = [this.levels[sum]!, this.levels[term]!];
    const both = parameters.filter((parameter) => sums.has(parameter) && terms.has(parameter));
    addInto(both.map((parameter) => ({ sum: sums.get(parameter)!, term: terms.get(parameter)! })));
    // An image may leave a parameter without a gradient.
    for (const parameter of parameters) {
      const gradient = terms.get(parameter);
      if (!gradient || sums.has(parameter)) continue;
      sums.set(parameter, gradient);
      terms.delete(parameter);
    }
  }
}
