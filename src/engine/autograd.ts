/**
 * Reverse-mode differentiation on a tape.
 *
 * Every operation that must be differentiated leaves a node: its inputs, its output, what its gradient rule needs. A
 * backward pass visits the nodes once each, in reverse topological order (iteratively, so that a
 * deep network does not recurse deeply), and a node only when its output's gradient is complete.
 *
 * Accumulation: gradients of leaves (parameters) are added to `grad` (`+=`), so images accumulate until `zeroGrad`;
 * gradients of activations are sums over their uses, made afresh in every pass and freed as soon as they are used.
 * A rule is asked only for the gradients that are needed: frozen layers and images cost nothing.
 */
import { accumulate, add } from '../kernels/elementwise.ts';
import type { Plans } from './plans.ts';
import type { Dtype } from './dtype.ts';
import type { Tensor } from './tensor.ts';
import { onTrace } from './trace.ts';

export interface GradientRequest {
  /** Gradient of the loss with respect to the output. */
  readonly dy: Tensor;
  /** Which inputs need a gradient; a rule returns null for the others. */
  readonly needs: readonly boolean[];
  /**
   * Where the gradient of input i belongs, for a rule whose kernels can add: it writes there and returns `sum`. Any other
   * rule returns a fresh tensor, which is added.
   */
  into(i: number): GradientTarget;
}

export interface GradientTarget {
  /** It has the input's shape. */
  sum: Tensor;
  /** Whether to add to what `sum` holds; otherwise its contents are undefined and it is assigned. */
  add: boolean;
}

/** The gradients of the inputs, in order. `S` is what the forward pass saved for it. */
export type GradientRule<S> = (request: GradientRequest, saved: S) => (Tensor | null)[];

export interface Operation<S> {
  readonly name: string;
  readonly gradient: GradientRule<S>;
  /** It takes tensors of f16, and its rule gives each input a gradient of the input's type, parameters excepted. */
  readonly half: boolean;
}

export interface GraphNode {
  readonly operation: Operation<unknown>;
  readonly inputs: readonly Tensor[];
  readonly saved: unknown;
  /** The plans that the operation was computed with; its gradient is computed with the same. */
  readonly plans: Plans;
  /** Tensors that only the rule reads; they are freed once it has run. */
  readonly scratch: readonly Tensor[];
}

export interface BackwardOptions {
  /**
   * Frees every activation as soon as its gradient has been passed on: a training step then needs little more memory
   * than its forward pass. Results of operations cannot be read afterwards, except single numbers (losses). Default false.
   */
  free?: boolean;
  /** Keeps the graph, so that another backward pass can go through it; gradients of leaves add up. Default false. */
  retainGraph?: boolean;
  /**
   * The gradient of the loss itself, 1 by default: every gradient is multiplied by it, so that small ones are not lost in f16.
   * An optimiser's `step` divides by it, as part of its divisor.
   */
  scale?: number;
  /** Called once for each leaf that gets a gradient, as soon as all that this pass adds to it is recorded. */
  onGradient?(leaf: Tensor): void;
}

/** Declares an operation and the type of what its forward pass saves. */
export const operation = <S>(name: string, gradient: GradientRule<S>, half = false): Operation<S> => ({
  name,
  gradient,
  half,
});

/** Ends every operation: puts it on the tape where a gradient will be asked for, and checks its output in NaN check mode. */
export function onTape<S>(
  operation: Operation<S>,
  inputs: readonly Tensor[],
  output: Tensor,
  saved: S,
  scratch: readonly Tensor[] = [],
): Tensor {
  const { gpu } = output;
  const taken = (dtype: Dtype): boolean => dtype === 'f32' || (dtype === 'f16' && operation.half);
  const other = output.dtype !== 'i32' && inputs.find((input) => !taken(input.dtype));
  if (other) {
    const how = other.dtype === 'f16' ? ": give it cast(x, 'f32')" : '';
    throw new Error(`${operation.name}: ${other.name} [${other.shape}] is ${other.dtype}, expected f32${how}`);
  }
  onTrace(operation, inputs, output, saved);
  if (gpu.gradientsEnabled && inputs.some((input) => input.requiresGrad)) {
    output.requiresGrad = true;
    output.node = { operation: operation as Operation<unknown>, inputs, saved, plans: gpu.plans, scratch };
  } else {
    scratch.forEach((tensor) => tensor.dispose());
  }
  if (gpu.nanCheck && output.dtype !== 'i32') gpu.checks.finite(output, `${operation.name} (${output.name})`);
  return output;
}

/** Every tensor with a node that `root` depends on, inputs before outputs. */
function topologicalOrder(root: Tensor): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set([root]);
  const stack: { tensor: Tensor; next: number }[] = [{ tensor: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const input = top.tensor.node!.inputs[top.next++];
    if (input === undefined) {
      order.push(top.tensor);
      stack.pop();
    } else if (input.node && !seen.has(input)) {
      seen.add(input);
      stack.push({ tensor: input, next: 0 });
    } else {
      expectUnused(input);
    }
  }
  return order;
}

/** Without its node a tensor would pass for a leaf, and what it was computed from would silently get no gradient. */
function expectUnused(tensor: Tensor): void {
  if (tensor.graphUsed) {
    throw new Error(
      `backward: the graph of ${tensor.name} was used up by an earlier backward pass, which freed its operation ` +
        `${tensor.graphUsed}; add the losses and call it once, or give the earlier pass { retainGraph: true }`,
    );
  }
}

const sameShape = (a: Tensor, b: Tensor): boolean =>
  a.shape.length === b.shape.length && a.shape.every((n, i) => n === b.shape[i]);

/** Whether another gradient lies in the same memory (`add` gives all its inputs one): then nothing may be added there. */
const isShared = (gradient: Tensor): boolean => gradient.storage.references > 1;

function zeroGradient(leaf: Tensor): Tensor {
  leaf.gradientTarget();
  leaf.clearGrad();
  return leaf.grad!;
}

export function runBackward(loss: Tensor, options: BackwardOptions = {}): void {
  const { free = false, retainGraph = false, scale = 1, onGradient } = options;
  const { gpu } = loss;
  if (free && retainGraph) throw new Error('backward: free and retainGraph exclude each other');
  if (loss.size !== 1) throw new Error(`backward: ${loss.name} has shape [${loss.shape}], a loss is one number`);
  expectUnused(loss);
  if (!loss.node) throw new Error(`backward: ${loss.name} was not computed from a parameter`);
  const order = topologicalOrder(loss);
  const gradients = new Map<Tensor, Tensor>();
  gradients.set(loss, gpu.filled(loss.shape, scale, 'dloss'));

  const complete = onGradient ? leafUses(order, onGradient) : undefined;
  for (const output of order.reverse()) {
    const { operation, inputs, saved, plans, scratch } = output.node!;
    if (!retainGraph) {
      output.node = null;
      output.graphUsed = operation.name;
    }
    const dy = gradients.get(output);
    gradients.delete(output);
    if (!dy) {
      complete?.(inputs);
      if (!retainGraph) expire(output, scratch, free);
      continue;
    }
    const needs = inputs.map((input) => input.requiresGrad);
    const into = (i: number): GradientTarget => {
      const input = inputs[i]!;
      if (needs[i] && !input.node) return input.gradientTarget();
      const sum = gradients.get(input);
      if (needs[i] && sum && !isShared(sum)) return { sum, add: true };
      return { sum: gpu.empty(input.shape, input.dtype, `d${input.name}`), add: false };
    };
    const results = gpu.withPlans(plans, () => operation.gradient({ dy, needs, into }, saved));
    if (results.length !== inputs.length) {
      throw new Error(
        `${operation.name}: its gradient rule gave ${results.length} gradients for ${inputs.length} inputs`,
      );
    }
    results.forEach((gradient, i) => {
      if (!needs[i]) return;
      const input = inputs[i]!;
      if (!gradient) throw new Error(`${operation.name}: no gradient for input ${i} (${input.name})`);
      if (!sameShape(gradient, input)) {
        throw new Error(
          `${operation.name}: the gradient of input ${i} (${input.name}) is [${gradient.shape}], not [${input.shape}]`,
        );
      }
      if (gpu.nanCheck) gpu.checks.finite(gradient, `gradient of ${operation.name} for ${input.name}`);
      deliver(gradient, input, gradients);
    });
    complete?.(inputs);
    dy.dispose();
    if (!retainGraph) expire(output, scratch, free);
  }
}

/** Counts the uses of each leaf; call what it returns with the inputs of each node that has been passed. */
function leafUses(order: readonly Tensor[], onGradient: (leaf: Tensor) => void): (inputs: readonly Tensor[]) => void {
  const uses = new Map<Tensor, number>();
  for (const { node } of order) {
    for (const input of node!.inputs)
      if (input.requiresGrad && !input.node) uses.set(input, (uses.get(input) ?? 0) + 1);
  }
  return (inputs) => {
    for (const input of inputs) {
      const left = uses.get(input);
      if (left === undefined) continue;
      uses.set(input, left - 1);
      if (left === 1) onGradient(input);
    }
  };
}

/** Adds a gradient to what an input has received so far: a leaf in its `grad`, an activation in `gradients`. */
function deliver(gradient: Tensor, input: Tensor, gradients: Map<Tensor, Tensor>): void {
  const { gpu } = input;
  const sum = input.node ? gradients.get(input) : (input.grad ?? zeroGradient(input));
  if (gradient === sum) return;
  if (!sum) {
    gradients.set(input, gradient);
    return;
  }
  if (input.node && isShared(sum)) {
    const total = gpu.empty(sum.shape, sum.dtype, sum.name);
    gpu.run(add(2), { x0: sum, x1: gradient, y: total }, { n: input.size });
    gradients.set(input, total);
    sum.dispose();
  } else {
    gpu.run(accumulate, { x: gradient, y: sum }, { n: input.size });
  }
  gradient.dispose();
}

/** A backward pass reaches everything that reads an activation before its own node, so with `free` it can go now. */
function expire(output: Tensor, scratch: readonly Tensor[], free: boolean): void {
  scratch.forEach((tensor) => tensor.dispose());
  if (free && output.size > 1 && !output.persistent) output.dispose();
}
