/** The graph of a computation: every operation that it runs, whether or not a gradient will be asked for. */
import type { Operation } from './autograd.ts';
import type { Gpu } from './gpu.ts';
import { synchronous } from './synchronous.ts';
import type { Tensor } from './tensor.ts';

/** An operation and its result; what it has saved describes it besides its inputs. */
export interface TracedOperation<S = unknown> {
  readonly operation: Operation<S>;
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly saved: S;
}

/** Declares an operation that is on no tape, as it has no gradient. */
export const tracedOperation = <S>(name: string): Operation<S> => ({
  name,
  gradient: ({ needs }) => needs.map(() => null),
  half: true,
});

/** Values that the program gave: saved are a copy of them. */
export const valuesOperation = tracedOperation<Float32Array | Int32Array>('gpu.tensor');
/** One value throughout. */
export const filledOperation = tracedOperation<{ value: number }>('gpu.zeros');
/** The same values in the same order. */
export const viewOperation = tracedOperation<null>('view');

export interface Tracing {
  readonly operations: TracedOperation[];
  /** Tensors whose values are those of a kernel that no operation has claimed, by the name of the kernel. */
  readonly unclaimed: Map<Tensor, string>;
}

/**
 * Tells a trace, if one is being taken, how a tensor is computed. Of several ways the last counts: an operation that is composed of
 * others can be known as one.
 */
export function onTrace<S>(operation: Operation<S>, inputs: readonly Tensor[], output: Tensor, saved: S): Tensor {
  const { tracing } = output.gpu;
  tracing?.operations.push({ operation: operation as Operation<unknown>, inputs, output, saved });
  tracing?.unclaimed.delete(output);
  return output;
}

/**
 * The results of `fn`, which must not be async, and the operations that it runs, in their order. Nothing is computed: `fn` runs as in
 * `gpu.measure` and `gpu.withoutGradients`, so afterwards the shapes of its tensors can be read, but not their values.
 */
export function trace<T extends Readonly<Record<string, Tensor>>>(gpu: Gpu, fn: () => T): Tracing & { results: T } {
  let results: T | undefined;
  const tracing: Tracing = { operations: [], unclaimed: new Map() };
  gpu.measure(() => {
    gpu.tracing = tracing;
    try {
      results = gpu.withoutGradients(() => synchronous('trace', fn()));
    } finally {
      gpu.tracing = null;
    }
  });
  return { results: results!, ...tracing };
}
