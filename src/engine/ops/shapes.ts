/** Argument checks of the operations: every error names the operation, the argument, what it is and what it should be. */
import type { Dtype } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';

export function expectRank(operation: string, argument: string, tensor: Tensor, axes: string): void {
  const rank = axes.split(',').length;
  if (tensor.shape.length !== rank) {
    throw new Error(`${operation}: ${argument} has shape [${tensor.shape}], expected [${axes}]`);
  }
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

export function expectShape(operation: string, argument: string, tensor: Tensor, shape: readonly number[]): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new Error(`${operation}: ${argument} has shape [${tensor.shape}], expected [${shape}]`);
  }
}

export function expectDtype(operation: string, argument: string, tensor: Tensor, dtype: Dtype): void {
  if (tensor.dtype === dtype) return;
  const how = dtype === 'i32' ? ', made of an Int32Array' : '';
  throw new Error(`${operation}: ${argument} is ${tensor.dtype}, expected ${dtype}${how}`);
}

/** The axis counted from 0; negative axes count from the end. */
export function resolveAxis(operation: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new Error(`${operation}: axis ${axis} does not exist in a tensor of ${rank} axes`);
  }
  return resolved;
}

/** A tensor seen as [outer, channels, inner] around one axis. */
export function axisView(shape: readonly number[], axis: number): { outer: number; channels: number; inner: number } {
  const product = (part: readonly number[]): number => part.reduce((a, b) => a * b, 1);
  return { outer: product(shape.slice(0, axis)), channels: shape[axis]!, inner: product(shape.slice(axis + 1)) };
}

export interface AxesOptions {
  /** The axes stay, with extent 1, so that the result can be subtracted from x, or multiply it. Default false. */
  keepDims?: boolean;
}

/** Shapes of a reduction: which axes are `chosen`, the shape in which they stay as 1, and that of the result. */
export function reducedShapes(
  operation: string,
  shape: readonly number[],
  axes: number | readonly number[] | undefined,
  { keepDims = false }: AxesOptions,
): { chosen: boolean[]; kept: number[]; result: number[] } {
  const given = axes === undefined ? shape.map((_, axis) => axis) : [axes].flat();
  const among = new Set(given.map((axis) => resolveAxis(operation, axis, shape.length)));
  const chosen = shape.map((_, axis) => among.has(axis));
  const kept = shape.map((n, axis) => (chosen[axis] ? 1 : n));
  return { chosen, kept, result: keepDims ? kept : shape.filter((_, axis) => !chosen[axis]) };
}
