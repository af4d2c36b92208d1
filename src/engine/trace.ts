/** The graph of a computation: the tape of autograd, on which every operation is put, whether it is trained or not. */
import { type GraphNode, topologicalOrder } from './autograd.ts';
import type { Gpu } from './gpu.ts';
import type { Tensor } from './tensor.ts';

/** An operation and its result. */
export interface TracedOperation extends GraphNode {
  readonly output: Tensor;
}

/**
 * The operations by which `fn`'s results are computed, in an order in which they can be. Nothing is computed: `fn`, which must
 * not be async, runs as in `gpu.measure`, so that shapes can be read afterwards, but values only of parameters.
 */
export function trace<T extends Readonly<Record<string, Tensor>>>(
  gpu: Gpu,
  fn: () => T,
): { results: T; operations: TracedOperation[] } {
  let results: T | undefined;
  let operations: TracedOperation[] = [];
  gpu.tracing = true;
  try {
    gpu.measure(() => {
      results = fn();
      const seen = new Set<Tensor>();
      operations = Object.values(results)
        .filter(({ node }) => node !== null)
        .flatMap((result) => topologicalOrder(result, seen))
        .map((output) => ({ ...output.node!, output }));
    });
  } finally {
    gpu.tracing = false;
  }
  return { results: results!, operations };
}
