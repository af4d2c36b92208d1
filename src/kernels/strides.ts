/**
 * Tensors that are read along the axes of another shape: a stride for each axis of the result, 0 where the tensor is repeated.
 * Neighbouring axes that every tensor walks as one are merged, so that few kernels serve all shapes.
 */

type Extents = readonly number[];

/** How tensors lie along the axes of a result: the extents of the result, and for each tensor its strides. */
export interface StridedView {
  extents: Extents;
  strides: readonly Extents[];
}

/** The strides of a row-major tensor. */
export const denseStrides = (shape: Extents): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));

/** The strides of a tensor that is repeated to `result` by NumPy's rules: 0 along every axis that it lacks or has once. */
export function repeatedStrides(shape: Extents, result: Extents): number[] {
  const dense = denseStrides(shape);
  const missing = result.length - shape.length;
  return result.map((_, axis) => (axis < missing || shape[axis - missing] === 1 ? 0 : dense[axis - missing]!));
}

/** The same view with as few axes as possible, at least one: those of extent 1 go, and two that are walked as one are merged. */
export function mergeAxes({ extents, strides }: StridedView): StridedView {
  const merged: { extent: number; strides: number[] }[] = [];
  extents.forEach((extent, axis) => {
    if (extent === 1) return;
    const own = strides.map((of) => of[axis]!);
    const last = merged.at(-1);
    if (last?.strides.every((stride, t) => stride === own[t]! * extent)) {
      last.extent *= extent;
      last.strides = own;
    } else merged.push({ extent, strides: own });
  });
  if (merged.length === 0) merged.push({ extent: 1, strides: strides.map(() => 0) });
  return {
    extents: merged.map(({ extent }) => extent),
    strides: strides.map((_, t) => merged.map((m) => m.strides[t]!)),
  };
}

/** Names of the uniforms that `placesWgsl` reads: extents e1, ..., and for each tensor x its strides x_s0, x_s1, ... */
export const strideUniforms = (rank: number, tensors: readonly string[]): string[] =>
  Array.from({ length: rank }, (_, axis) => [
    ...(axis > 0 ? [`e${axis}`] : []),
    ...tensors.map((tensor) => `${tensor}_s${axis}`),
  ]).flat();

/** Their values. */
export function strideValues({ extents, strides }: StridedView, tensors: readonly string[]): Record<string, number> {
  const values: Record<string, number> = { n: extents.reduce((product, n) => product * n, 1) };
  extents.forEach((extent, axis) => {
    if (axis > 0) values[`e${axis}`] = extent;
    tensors.forEach((tensor, t) => (values[`${tensor}_s${axis}`] = strides[t]![axis]!));
  });
  return values;
}

/** Statements that find for element `i` of the result the place `at_x` of each tensor x. */
export function placesWgsl(rank: number, tensors: readonly string[]): string {
  const axes = Array.from({ length: rank - 1 }, (_, i) => rank - 1 - i);
  return `var rest = i;
    ${tensors.map((x) => `var at_${x} = 0u;`).join(' ')}
    ${axes
      .map((axis) => {
        const steps = tensors.map((x) => `at_${x} += rest % u.e${axis} * u.${x}_s${axis};`);
        return `${steps.join(' ')} rest /= u.e${axis};`;
      })
      .join('\n    ')}
    ${tensors.map((x) => `at_${x} += rest * u.${x}_s0;`).join(' ')}`;
}

/** Calls `visit` with the index of every element of the result and the places of the tensors. */
export function eachPlace({ extents, strides }: StridedView, visit: (i: number, places: number[]) => void): void {
  const n = extents.reduce((product, extent) => product * extent, 1);
  const dense = denseStrides(extents);
  for (let i = 0; i < n; i++) {
    const at = extents.map((extent, axis) => Math.floor(i / dense[axis]!) % extent);
    visit(
      i,
      strides.map((of) => at.reduce((place, c, axis) => place + c * of[axis]!, 0)),
    );
  }
}
