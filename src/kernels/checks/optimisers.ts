/** Checks of Adam, of bounds for gradients, and of averages of weights, each for parameters of the given sizes in one dispatch. */
import { adamReference, adamSteps, adamUniforms } from '../adam.ts';
import {
  clampReference,
  clampSets,
  clipFactor,
  clipFactorReference,
  scaleSets,
  squareSums,
  squareSumsReference,
} from '../clipGradients.ts';
import { scaleReference } from '../elementwise.ts';
import { averageReference, averageSets, exchangeSets } from '../movingAverage.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals } from './inputs.ts';

/** A few roundings of float32. */
const ROUNDED = { atol: 1e-6, rtol: 1e-6 };

export function adamStepsCheck(sizes: readonly number[], decoupled: boolean, t = 3): KernelCheck {
  const shared = { betas: [0.9, 0.999] as const, epsilon: 1e-8, gradScale: 0.5, decoupled };
  const buffers: Record<string, Float32Array> = {};
  const uniforms: Record<string, number> = {};
  const expected: Record<string, Float64Array> = {};
  sizes.forEach((n, k) => {
    const [w, m, grad] = [normals(n, 4 * k + 1), normals(n, 4 * k + 2, 0.1), normals(n, 4 * k + 3)];
    const v = normals(n, 4 * k + 4, 0.1).map((value) => value ** 2 + 1e-4);
    const settings = { ...shared, lr: 0.01 * (k + 1), weightDecay: 0.05 * k };
    const next = adamReference({ w: doubles(w), m: doubles(m), v: doubles(v), grad: doubles(grad) }, settings, t);
    const { own, shared: all } = adamUniforms(settings, t);
    Object.assign(uniforms, all, { [`n${k}`]: n });
    for (const [name, value] of Object.entries(own)) uniforms[`${name}${k}`] = value;
    for (const [name, values] of Object.entries({ w, m, v, grad })) buffers[`${name}${k}`] = values;
    for (const [name, values] of Object.entries(next)) expected[`${name}${k}`] = values;
  });
  const name = `adam_steps ${sizes} ${decoupled ? 'decoupled' : 'in the gradient'}`;
  // A quotient and two roots, which WGSL lets be off by a few units in the last place.
  return { name, kernel: adamSteps(sizes.length), buffers, uniforms, expected, atol: 2e-6, rtol: 2e-6 };
}

/** x0, x1, ... of the given sizes, and a uniform for each of these. */
function inputs(sizes: readonly number[], names: readonly string[]) {
  const entries = sizes.flatMap((n, k) =>
    names.map((name, j) => [`${name}${k}`, normals(n, names.length * k + j + 1)]),
  );
  return {
    buffers: Object.fromEntries(entries) as Record<string, Float32Array>,
    uniforms: Object.fromEntries(sizes.map((n, k) => [`n${k}`, n])) as Record<string, number>,
  };
}

/** The sums go after two other numbers, which must stay as they were. */
export function squareSumsCheck(sizes: readonly number[]): KernelCheck {
  const { buffers, uniforms } = inputs(sizes, ['x']);
  const sums = sizes.flatMap((_, k) => [...squareSumsReference(doubles(buffers[`x${k}`]!))]);
  const expected = Float64Array.of(7, 7, ...sums);
  return {
    name: `square_sums ${sizes}`,
    kernel: squareSums(sizes.length),
    buffers: { ...buffers, partials: new Float32Array(expected.length).fill(7) },
    uniforms: { ...uniforms, start: 2 },
    expected: { partials: expected },
    atol: 0,
    rtol: 1e-5, // 64 additions one after the other, then 16
  };
}

export function clipFactorCheck(n: number, bound: number): KernelCheck {
  const partials = normals(n, 1).map(Math.abs);
  const { norm, factor } = clipFactorReference(doubles(partials), bound, 1e-6);
  return {
    name: `clip_factor ${n} bound ${bound}`,
    kernel: clipFactor,
    buffers: { partials, norm: new Float32Array(1), factor: new Float32Array(1) },
    uniforms: { n, bound, epsilon: 1e-6 },
    expected: { norm: Float64Array.of(norm), factor: Float64Array.of(factor) },
    atol: 0,
    rtol: 1e-5,
  };
}

export function scaleSetsCheck(sizes: readonly number[]): KernelCheck {
  const { buffers, uniforms } = inputs(sizes, ['x']);
  const factor = 0.3;
  const expected = Object.entries(buffers).map(([name, x]) => [name, scaleReference(doubles(x), factor)]);
  return {
    name: `scale_sets ${sizes}`,
    kernel: scaleSets(sizes.length),
    buffers: { ...buffers, factor: Float32Array.of(factor) },
    uniforms,
    expected: Object.fromEntries(expected) as Record<string, Float64Array>,
    ...ROUNDED,
  };
}

export function clampSetsCheck(sizes: readonly number[]): KernelCheck {
  const { buffers, uniforms } = inputs(sizes, ['x']);
  const expected = Object.entries(buffers).map(([name, x]) => [name, clampReference(doubles(x), 0.5)]);
  return {
    name: `clamp_sets ${sizes}`,
    kernel: clampSets(sizes.length),
    buffers,
    uniforms: { ...uniforms, bound: 0.5 },
    expected: Object.fromEntries(expected) as Record<string, Float64Array>,
    ...EXACT,
  };
}

export function averageSetsCheck(sizes: readonly number[]): KernelCheck {
  const { buffers, uniforms } = inputs(sizes, ['a', 'w']);
  const expected = sizes.map((_, k) => {
    const [a, w] = [buffers[`a${k}`]!, buffers[`w${k}`]!];
    return [`a${k}`, averageReference(doubles(a), doubles(w), 0.001)];
  });
  return {
    name: `average_sets ${sizes}`,
    kernel: averageSets(sizes.length),
    buffers,
    uniforms: { ...uniforms, rate: 0.001 },
    expected: Object.fromEntries(expected) as Record<string, Float64Array>,
    ...ROUNDED,
  };
}

export function exchangeSetsCheck(sizes: readonly number[]): KernelCheck {
  const { buffers, uniforms } = inputs(sizes, ['x', 'y']);
  const expected = sizes.flatMap((_, k) => [
    [`x${k}`, doubles(buffers[`y${k}`]!)],
    [`y${k}`, doubles(buffers[`x${k}`]!)],
  ]);
  return {
    name: `exchange_sets ${sizes}`,
    kernel: exchangeSets(sizes.length),
    buffers,
    uniforms,
    expected: Object.fromEntries(expected) as Record<string, Float64Array>,
    ...EXACT,
  };
}
