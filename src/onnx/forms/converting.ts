/** What a converter sees of an operation, and what several converters need. */
import type { Operation } from '../../engine/autograd.ts';
import { UserError } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { TracedOperation } from '../../engine/trace.ts';
import type { OnnxGraph, Value } from '../graph.ts';

/** An axis of an input that may have another extent than in the trace. */
export interface FreeAxis {
  symbol: string;
  /** The input. */
  value: Value;
  axis: number;
  /** In each trace. */
  extents: readonly number[];
}

export type Traced<S> = Omit<TracedOperation<S>, 'operation'>;

/** An operation as a converter sees it, in one of the traces. */
export interface Converting<S> {
  graph: OnnxGraph;
  /** The names of the inputs. */
  values: readonly Value[];
  inputs: readonly Tensor[];
  output: Tensor;
  saved: S;
  /** The name of the value that a tensor is. */
  valueOf(tensor: Tensor): Value;
  /** A number of this operation in every trace. */
  across(of: (traced: Traced<S>) => number): readonly number[];
  /** Of the inputs of the network. */
  freeAxes: readonly FreeAxis[];
}

export type Converter = (converting: Converting<never>) => Value;

/** The forms of some operations in ONNX. */
export class Forms {
  readonly converters = new Map<Operation<never>, Converter>();

  readonly convert = <S>(operation: Operation<S>, converter: (converting: Converting<S>) => Value): void => {
    this.converters.set(operation as Operation<never>, converter as Converter);
  };

  /** An operation that no network for ONNX should need, and why. */
  readonly refuse = <S>(operation: Operation<S>, why: string): void =>
    this.convert(operation, () => {
      throw new UserError(`the operation ${operation.name} ${why}`);
    });
}

/** Half precision is float32 of fewer bits: operations compute in float32 and round their results. */
export const rounded = (graph: OnnxGraph, x: Value): Value => graph.cast(graph.cast(x, 'float16'), 'float');

/** The inputs of a layer: where x is in half precision its weight is rounded too. */
export const operands = ({ graph, values: [x, weight, ...bias], inputs }: Converting<unknown>): Value[] => [
  x!,
  inputs[0]!.dtype === 'f16' ? rounded(graph, weight!) : weight!,
  ...bias,
];

export const isFixed = (numbers: readonly number[]): boolean => numbers.every((number) => number === numbers[0]);

/** Extent `axis` of a value, as a vector of one number. */
export const extentOf = (graph: OnnxGraph, x: Value, axis: number): Value =>
  graph.gather(graph.node('Shape', [x]), graph.ints([axis]), 0);

/** An extent as a number if it is fixed, as a vector of one number if it is one of the operation's inputs or of the network's; else null. */
export function resolve<S>(converting: Converting<S>, of: (traced: Traced<S>) => number): number | Value | null {
  const { graph, inputs, values, across, freeAxes } = converting;
  const extents = across(of);
  if (isFixed(extents)) return extents[0]!;
  const isIt = (others: readonly number[]): boolean => others.every((other, i) => other === extents[i]);
  for (const [i, { shape }] of inputs.entries()) {
    const axis = shape.findIndex((_, axis) => isIt(across(({ inputs }) => inputs[i]!.shape[axis]!)));
    if (axis >= 0) return extentOf(graph, values[i]!, axis);
  }
  const free = freeAxes.find((other) => isIt(other.extents));
  return free ? extentOf(graph, free.value, free.axis) : null;
}

/** One vector of extents, each a number or a vector of one. */
export function join(graph: OnnxGraph, extents: readonly (number | Value)[]): Value {
  if (extents.every((extent) => typeof extent === 'number')) return graph.ints(extents);
  const parts = extents.map((extent) => (typeof extent === 'number' ? graph.ints([extent]) : extent));
  return parts.length === 1 ? parts[0]! : graph.node('Concat', parts, { axis: 0 });
}

/** The shape of the result; an extent that cannot be told stays that of the trace. */
export const shapeOf = <S>(converting: Converting<S>): Value =>
  join(
    converting.graph,
    converting.output.shape.map((extent, axis) => resolve(converting, ({ output }) => output.shape[axis]!) ?? extent),
  );

export const rectified = (graph: OnnxGraph, y: Value, does: boolean): Value => (does ? graph.node('Relu', [y]) : y);

/** Whether the axes of a reduction of `shape` stay. */
export const keeps = (output: Tensor, shape: readonly number[]): number => Number(output.shape.length === shape.length);
