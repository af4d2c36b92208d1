/** Checks of the functions of two numbers, in every form in which their tensors may lie. */
import {
  binaryBackward,
  binaryBackwardReference,
  type BinaryForm,
  binaryForward,
  type BinaryName,
  binaryReference,
  type BinarySide,
  gradientReads,
} from '../binary.ts';
import { expandReference, type Repetition } from '../broadcast.ts';
import type { ChannelView } from '../channelView.ts';
import { stridedCopyReference } from '../stridedCopy.ts';
import { mergeAxes, repeatedStrides, strideValues } from '../strides.ts';
import type { KernelCheck } from './check.ts';
import { doubles, held, integers, normals } from './inputs.ts';

/** A form, its uniforms, the sizes of both tensors, and how each is repeated to the result. */
export interface BinaryLayout {
  name: string;
  form: BinaryForm;
  uniforms: Record<string, number>;
  sizes: Record<BinarySide, number>;
  repeat: Record<BinarySide, (x: Float64Array) => Float64Array>;
}

const asItIs = (x: Float64Array): Float64Array => x;

export const sameLayout = (n: number): BinaryLayout => ({
  name: `${n}`,
  form: 'same',
  uniforms: { n },
  sizes: { a: n, b: n },
  repeat: { a: asItIs, b: asItIs },
});

export function repeatedLayout(repeated: BinarySide, of: Repetition, view: ChannelView): BinaryLayout {
  const { outer, channels, inner } = view;
  const n = outer * channels * inner;
  const other = repeated === 'a' ? 'b' : 'a';
  return {
    name: `${repeated} ${of} ${outer}x${channels}x${inner}`,
    form: { repeated, of },
    uniforms: { n, channels, inner },
    sizes: { a: n, b: n, [repeated]: of === 'channels' ? channels : outer * inner },
    repeat: { a: asItIs, b: asItIs, [repeated]: (x: Float64Array) => expandReference(x, of, view), [other]: asItIs },
  };
}

/** Shapes of as many axes as the result, `shape`. */
export function stridedLayout(a: readonly number[], b: readonly number[]): BinaryLayout {
  const shape = a.map((n, axis) => Math.max(n, b[axis]!));
  const strides = [repeatedStrides(a, shape), repeatedStrides(b, shape)];
  const view = mergeAxes({ extents: shape, strides });
  const size = (of: readonly number[]): number => of.reduce((product, n) => product * n, 1);
  const repeat = (t: number) => (x: Float64Array) =>
    stridedCopyReference(x, { extents: shape, strides: [strides[t]!] });
  return {
    name: `[${a}] [${b}]`,
    form: { rank: view.extents.length },
    uniforms: strideValues(view, ['a', 'b']),
    sizes: { a: size(a), b: size(b) },
    repeat: { a: repeat(0), b: repeat(1) },
  };
}

/** Whole numbers where equality matters; bases above 0 and exponents of both signs, whole ones among them. */
function binaryInput(name: BinaryName, side: BinarySide, n: number): Float32Array {
  const seed = side === 'a' ? 1 : 2;
  if (name === 'divide' && side === 'b') return held(normals(n, seed).map((x) => x + (x < 0 ? -0.3 : 0.3)));
  if (name === 'pow' && side === 'a') return held(normals(n, seed).map((x) => Math.abs(x) + 0.3));
  if (name === 'pow') return normals(n, seed, 2).map((x, i) => (i % 3 === 0 ? Math.round(x) : x));
  if (['add', 'subtract', 'multiply', 'divide'].includes(name)) return normals(n, seed);
  return Float32Array.from(integers(n, seed, -3, 4));
}

const tolerance = (name: BinaryName) => (name === 'pow' ? { atol: 2e-6, rtol: 2e-5 } : { atol: 1e-6, rtol: 1e-6 });

export function binaryForwardCheck(
  name: BinaryName,
  { form, uniforms, sizes, repeat, ...layout }: BinaryLayout,
): KernelCheck {
  const [a, b] = [binaryInput(name, 'a', sizes.a), binaryInput(name, 'b', sizes.b)];
  const y = binaryReference(name, repeat.a(doubles(a)), repeat.b(doubles(b)));
  return {
    name: `${name} ${layout.name}`,
    kernel: binaryForward(name, form),
    buffers: { a, b, y: new Float32Array(y.length) },
    uniforms,
    expected: { y },
    ...tolerance(name),
  };
}

export function binaryBackwardCheck(
  name: BinaryName,
  side: BinarySide,
  { form, uniforms, sizes, repeat, ...layout }: BinaryLayout,
): KernelCheck {
  const inputs = { a: binaryInput(name, 'a', sizes.a), b: binaryInput(name, 'b', sizes.b) };
  const [a, b] = [repeat.a(doubles(inputs.a)), repeat.b(doubles(inputs.b))];
  const dy = normals(a.length, 3);
  const read = (['a', 'b'] as const)
    .filter((of) => gradientReads(name, side, of))
    .map((of) => [of, inputs[of]] as const);
  return {
    name: `${name}_backward_${side} ${layout.name}`,
    kernel: binaryBackward(name, side, form),
    buffers: { dy, ...Object.fromEntries(read), dx: normals(a.length, 4) },
    uniforms,
    expected: { dx: binaryBackwardReference(name, side, doubles(dy), a, b) },
    ...tolerance(name),
  };
}
