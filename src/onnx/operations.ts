/**
 * Operations of the engine as nodes of ONNX. A converter sees the operation's inputs by the names of their values and what its
 * forward pass saved; the extents of the maps are free, so none may become a constant.
 */
import type { Operation } from '../engine/autograd.ts';
import { UserError } from '../engine/errors.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { TracedOperation } from '../engine/trace.ts';
import { type FreeAxis, rounded, type Traced } from './forms/converting.ts';
import { elementwiseForms } from './forms/elementwise.ts';
import { indexForms } from './forms/indices.ts';
import { layerForms } from './forms/layers.ts';
import { mapForms } from './forms/maps.ts';
import { refusedForms } from './forms/refused.ts';
import { shapeForms } from './forms/shapes.ts';
import type { OnnxGraph, Value } from './graph.ts';

const CONVERTERS = new Map(
  [elementwiseForms, indexForms, layerForms, mapForms, refusedForms, shapeForms].flatMap(({ converters }) => [
    ...converters,
  ]),
);

/** Whether an operation has a form in ONNX, or a reason why it has none. */
export const isKnown = (operation: Operation<never>): boolean => CONVERTERS.has(operation);

/**
 * Adds the node or nodes of an operation, of which each of several traces has its variant: this is the one in trace `own`. Throws a
 * UserError for an operation that has none.
 */
export function convertOperation(
  graph: OnnxGraph,
  variants: readonly TracedOperation[],
  own: number,
  freeAxes: readonly FreeAxis[],
  valueOf: (tensor: Tensor) => Value,
): Value {
  const { operation, inputs, saved, output } = variants[own]!;
  const converter = CONVERTERS.get(operation as Operation<never>);
  if (!converter) {
    throw new UserError(`the operation ${operation.name} has no form in ONNX yet, so this network cannot be exported`);
  }
  const across = (of: (traced: Traced<never>) => number): number[] =>
    variants.map(({ saved, ...traced }) => of({ ...traced, saved: saved as never }));
  const values = inputs.map(valueOf);
  const result = converter({ graph, values, inputs, output, saved: saved as never, valueOf, across, freeAxes });
  return output.dtype === 'f16' ? rounded(graph, result) : result;
}
