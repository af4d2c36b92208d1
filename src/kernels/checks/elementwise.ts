/** Checks of the elementwise operations, for n elements. Tolerances are a few roundings of f32. */
import { copyFromSlice, copyIntoSlice, concatReference, copyScalars, sliceLayout } from '../concat.ts';
import { dropout, dropoutReference, invertedScale } from '../dropout.ts';
import { accumulate, accumulateSets, add, addReference, cast, fill, scale, scaleReference } from '../elementwise.ts';
import { flagLabels, flagLabelsReference, flagNonFinite, flagNonFiniteReference } from '../finite.ts';
import { addReluForward, reluBackward, reluBackwardReference, reluForward, reluReference } from '../relu.ts';
import { broadcastScalar } from '../reduce.ts';
import { sgdReference, sgdSteps } from '../sgd.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, integers, normals } from './inputs.ts';

const ROUNDED = { atol: 1e-6, rtol: 1e-6 };

export const fillCheck = (n: number): KernelCheck => ({
  name: `fill ${n}`,
  kernel: fill,
  buffers: { y: normals(n, 1) },
  uniforms: { n, value: -1.5 },
  expected: { y: new Float64Array(n).fill(-1.5) },
  ...EXACT,
});

export function addCheck(n: number, count = 2): KernelCheck {
  const terms = Array.from({ length: count }, (_, k) => normals(n, k + 1));
  return {
    name: `add_${count} ${n}`,
    kernel: add(count),
    buffers: { ...Object.fromEntries(terms.map((x, k) => [`x${k}`, x])), y: new Float32Array(n) },
    uniforms: { n },
    expected: { y: addReference(...terms.map(doubles)) },
    ...ROUNDED,
  };
}

/** Between buffers of one precision; half.ts checks it between two. */
export function castCheck(n: number): KernelCheck {
  const x = normals(n, 1);
  return {
    name: `cast ${n}`,
    kernel: cast,
    buffers: { x, y: normals(n, 2) },
    uniforms: { n },
    expected: { y: doubles(x) },
    ...EXACT,
  };
}

export function accumulateCheck(n: number): KernelCheck {
  const x = normals(n, 1);
  const y = normals(n, 2);
  return {
    name: `accumulate ${n}`,
    kernel: accumulate,
    buffers: { x, y },
    uniforms: { n },
    expected: { y: addReference(doubles(x), doubles(y)) },
    ...ROUNDED,
  };
}

/** Sums of the given sizes in one dispatch. */
export function accumulateSetsCheck(sizes: readonly number[]): KernelCheck {
  const buffers: Record<string, Float32Array> = {};
  const uniforms: Record<string, number> = {};
  const expected: Record<string, Float64Array> = {};
  sizes.forEach((n, k) => {
    const [x, y] = [normals(n, 2 * k + 1), normals(n, 2 * k + 2)];
    Object.assign(buffers, { [`x${k}`]: x, [`y${k}`]: y });
    uniforms[`n${k}`] = n;
    expected[`y${k}`] = addReference(doubles(x), doubles(y));
  });
  return {
    name: `accumulate_sets ${sizes}`,
    kernel: accumulateSets(sizes.length),
    buffers,
    uniforms,
    expected,
    ...ROUNDED,
  };
}

export function scaleCheck(n: number): KernelCheck {
  const x = normals(n, 1);
  return {
    name: `scale ${n}`,
    kernel: scale,
    buffers: { x, y: new Float32Array(n) },
    uniforms: { n, factor: -0.75 },
    expected: { y: scaleReference(doubles(x), -0.75) },
    ...ROUNDED,
  };
}

export const broadcastScalarCheck = (n: number): KernelCheck => ({
  name: `broadcast_scalar ${n}`,
  kernel: broadcastScalar,
  buffers: { dy: Float32Array.of(2.5), dx: normals(n, 1) },
  uniforms: { n },
  expected: { dx: new Float64Array(n).fill(2.5) },
  ...EXACT,
});

export function reluForwardCheck(n: number): KernelCheck {
  const x = normals(n, 1);
  return {
    name: `relu_forward ${n}`,
    kernel: reluForward,
    buffers: { x, y: new Float32Array(n) },
    uniforms: { n },
    expected: { y: reluReference(doubles(x)) },
    ...EXACT,
  };
}

export function addReluForwardCheck(n: number): KernelCheck {
  const [a, b] = [normals(n, 1), normals(n, 2)];
  return {
    name: `add_relu_forward ${n}`,
    kernel: addReluForward,
    buffers: { a, b, y: new Float32Array(n) },
    uniforms: { n },
    expected: { y: reluReference(addReference(doubles(a), doubles(b))) },
    ...ROUNDED,
  };
}

export function reluBackwardCheck(n: number): KernelCheck {
  const y = reluReference(doubles(normals(n, 1)));
  const dy = normals(n, 2);
  return {
    name: `relu_backward ${n}`,
    kernel: reluBackward,
    buffers: { y: Float32Array.from(y), dy, dx: normals(n, 3) },
    uniforms: { n },
    expected: { dx: reluBackwardReference(y, doubles(dy)) },
    ...EXACT,
  };
}

export function dropoutCheck(n: number, p = 0.5): KernelCheck {
  const x = normals(n, 1);
  const settings = { p, scale: invertedScale(p), seed: 4000000007, stream: 3 };
  return {
    name: `dropout ${n} p ${p}`,
    kernel: dropout,
    buffers: { x, y: new Float32Array(n) },
    uniforms: { n, ...settings },
    expected: { y: dropoutReference(doubles(x), settings) },
    ...ROUNDED,
  };
}

/** A part of `length` within an axis of `axis`, at `offset`. Everything outside the slice must stay as it was. */
export function copyIntoSliceCheck(
  outer: number,
  axis: number,
  inner: number,
  offset: number,
  length: number,
): KernelCheck {
  const before = normals(outer * offset * inner, 1);
  const part = normals(outer * length * inner, 2);
  const after = normals(outer * (axis - offset - length) * inner, 3);
  const lengths = [offset, length, axis - offset - length];
  const assemble = (middle: Float32Array) =>
    concatReference([doubles(before), doubles(middle), doubles(after)], outer, lengths, inner);
  const { form, uniforms } = sliceLayout(outer, axis, inner, offset, length);
  return {
    name: `copy_into_slice ${form} ${outer}x${axis}x${inner} [${offset}, ${offset + length})`,
    kernel: copyIntoSlice(form),
    buffers: { part, whole: Float32Array.from(assemble(new Float32Array(part.length))) },
    uniforms,
    expected: { whole: assemble(part) },
    ...EXACT,
  };
}

export function copyFromSliceCheck(
  outer: number,
  axis: number,
  inner: number,
  offset: number,
  length: number,
): KernelCheck {
  const { buffers, expected, uniforms } = copyIntoSliceCheck(outer, axis, inner, offset, length);
  const part = buffers.part as Float32Array;
  const { form } = sliceLayout(outer, axis, inner, offset, length);
  return {
    name: `copy_from_slice ${form} ${outer}x${axis}x${inner} [${offset}, ${offset + length})`,
    kernel: copyFromSlice(form),
    buffers: { whole: Float32Array.from(expected.whole!), part: new Float32Array(part.length) },
    uniforms,
    expected: { part: doubles(part) },
    ...EXACT,
  };
}

/** The elements around the numbers must stay as they were. */
export function copyScalarsCheck(count: number): KernelCheck {
  const scalars = Array.from({ length: count }, (_, k) => normals(1, k + 1));
  const whole = normals(count + 5, 99);
  const expected = doubles(whole);
  scalars.forEach(([value], k) => (expected[3 + k] = value!));
  return {
    name: `copy_scalars_${count}`,
    kernel: copyScalars(count),
    buffers: { ...Object.fromEntries(scalars.map((x, k) => [`x${k}`, x])), whole },
    uniforms: { start: 3 },
    expected: { whole: expected },
    ...EXACT,
  };
}

/** Parameters of the given sizes in one dispatch, each with its own rate and decay. */
export function sgdStepsCheck(sizes: readonly number[]): KernelCheck {
  const shared = { momentum: 0.9, gradScale: 0.5 };
  const buffers: Record<string, Float32Array> = {};
  const uniforms: Record<string, number> = { ...shared };
  const expected: Record<string, Float64Array> = {};
  sizes.forEach((n, k) => {
    const [w, h, grad] = [normals(n, 3 * k + 1), normals(n, 3 * k + 2, 0.01), normals(n, 3 * k + 3)];
    const own = { lr: 0.01 * (k + 1), weightDecay: 0.0005 * k };
    const next = sgdReference(doubles(w), doubles(h), doubles(grad), { ...shared, ...own });
    Object.assign(buffers, { [`w${k}`]: w, [`h${k}`]: h, [`grad${k}`]: grad });
    Object.assign(uniforms, { [`n${k}`]: n, [`lr${k}`]: own.lr, [`weightDecay${k}`]: own.weightDecay });
    Object.assign(expected, { [`w${k}`]: next.w, [`h${k}`]: next.h });
  });
  return { name: `sgd_steps ${sizes}`, kernel: sgdSteps(sizes.length), buffers, uniforms, expected, ...ROUNDED };
}

/** `bad` replaces one element in the middle; without it every element is finite, the largest and subnormal ones too. */
export function flagNonFiniteCheck(n: number, bad?: number): KernelCheck {
  const x = normals(n, 1);
  integers(3, n, 0, n).forEach((at, i) => (x[at] = [3.4028234e38, -3.4028234e38, 1e-42][i]!));
  if (bad !== undefined) x[n >> 1] = bad;
  return {
    name: `flag_non_finite ${n} ${bad ?? 'finite'}`,
    kernel: flagNonFinite,
    buffers: { x, flag: new Uint32Array(1) },
    uniforms: { n },
    expected: { flag: Uint32Array.of(flagNonFiniteReference(doubles(x))) },
    ...EXACT,
  };
}

/** Labels of ten classes, -1 among them; `bad` replaces one in the middle. */
export function flagLabelsCheck(n: number, bad?: number): KernelCheck {
  const labels = integers(n, 1, -1, 10);
  if (bad !== undefined) labels[n >> 1] = bad;
  return {
    name: `flag_labels ${n} ${bad ?? 'classes'}`,
    kernel: flagLabels,
    buffers: { labels, flag: new Uint32Array(1) },
    uniforms: { n, channels: 10, ignoreLabel: -1 },
    expected: { flag: Uint32Array.of(flagLabelsReference(labels, 10, -1)) },
    ...EXACT,
  };
}
