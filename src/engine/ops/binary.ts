/** Functions of two tensors, elementwise (kernels/binary.ts), repeated to one shape by NumPy's rules. */
import {
  binaryBackward,
  type BinaryForm,
  binaryForward,
  type BinaryName,
  type BinarySide,
  gradientReads,
  gradientText,
} from '../../kernels/binary.ts';
import { mergeAxes, repeatedStrides, strideValues } from '../../kernels/strides.ts';
import { operation, onTape, type Operation } from '../autograd.ts';
import type { Gpu } from '../gpu.ts';
import { floatOf } from '../precision.ts';
import { broadcastOf, broadcastShape, summedTo } from '../repetition.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { onTrace, tracedOperation } from '../trace.ts';
import { expectDtype, sameShape } from './shapes.ts';

/** A tensor, or a number for all of its elements. */
export type Operand = Tensor | number;

/** An operand as a tensor. */
export const asTensor = (gpu: Gpu, operand: Operand): Tensor =>
  typeof operand === 'number' ? gpu.filled([], operand) : operand;

/** The kernel's form and its uniforms for a result of `shape`. */
function formOf(a: Shape, b: Shape, shape: Shape): { form: BinaryForm; uniforms: Record<string, number> } {
  const n = shape.reduce((product, extent) => product * extent, 1);
  if (sameShape(a, b)) return { form: 'same', uniforms: { n } };
  for (const repeated of ['b', 'a'] as const) {
    const [large, small] = repeated === 'b' ? [a, b] : [b, a];
    const simple = sameShape(large, shape) && broadcastOf(shape, small);
    if (!simple) continue;
    const { channels, inner } = simple.view;
    return { form: { repeated, of: simple.of }, uniforms: { n, channels, inner } };
  }
  const view = mergeAxes({ extents: shape, strides: [repeatedStrides(a, shape), repeatedStrides(b, shape)] });
  return { form: { rank: view.extents.length }, uniforms: strideValues(view, ['a', 'b']) };
}

type Saved = readonly [a: Tensor, b: Tensor];

function gradientOf(name: BinaryName, side: BinarySide, dy: Tensor, [a, b]: Saved): Tensor {
  const { shape } = side === 'a' ? a : b;
  const text = gradientText(name, side);
  if (text === 'dy') return summedTo(dy.view(dy.shape), shape, `dx ${name}`);
  const dx = dy.gpu.empty(dy.shape, floatOf(dy), `dx ${name}`);
  const { form, uniforms } = formOf(a.shape, b.shape, dy.shape);
  const read = { ...(gradientReads(name, side, 'a') && { a }), ...(gradientReads(name, side, 'b') && { b }) };
  dy.gpu.run(binaryBackward(name, side, form), { dy, ...read, dx }, uniforms);
  return summedTo(dx, shape, `dx ${name}`);
}

/** The type of a result: the one that its tensors have in common. A number goes with either. */
function typeOf(name: BinaryName, operands: Readonly<Record<'a' | 'b', Operand>>): 'f32' | 'f16' {
  const given = Object.entries(operands).filter((entry): entry is [string, Tensor] => typeof entry[1] !== 'number');
  for (const [argument, tensor] of given) if (tensor.dtype === 'i32') expectDtype(name, argument, tensor, 'f32');
  const types = given.map(([, tensor]) => floatOf(tensor));
  if (types[0] !== types.at(-1)) throw new Error(`${name}: a is ${types[0]} and b is ${types[1]}, expected one type`);
  return types[0]!;
}

function computed(name: BinaryName, a: Operand, b: Operand): { y: Tensor; a: Tensor; b: Tensor } {
  if (typeof a === 'number' && typeof b === 'number')
    throw new Error(`${name}: a and b are numbers, expected a tensor`);
  const { gpu } = (typeof a === 'number' ? b : a) as Tensor;
  const [x, z] = [asTensor(gpu, a), asTensor(gpu, b)];
  const shape = broadcastShape(x.shape, z.shape);
  if (!shape) {
    const rule = 'extents, counted from the last, to be equal or 1';
    throw new Error(`${name}: a has shape [${x.shape}] and b [${z.shape}], expected their ${rule}`);
  }
  const { form, uniforms } = formOf(x.shape, z.shape, shape);
  const y = gpu.empty(shape, typeOf(name, { a, b }), name);
  gpu.run(binaryForward(name, form), { a: x, b: z, y }, uniforms);
  return { y, a: x, b: z };
}

/** An operation of the table and its gradient rule. */
function differentiable(name: BinaryName): { own: Operation<Saved>; apply: (a: Operand, b: Operand) => Tensor } {
  const own = operation<Saved>(
    name,
    ({ dy, needs }, saved) =>
      (['a', 'b'] as const).map((side, i) => (needs[i] ? gradientOf(name, side, dy, saved) : null)),
    true,
  );
  return {
    own,
    apply: (left, right) => {
      const { y, a, b } = computed(name, left, right);
      return onTape(own, [a, b], y, [a, b]);
    },
  };
}

export const { own: addBroadcastOperation, apply: addBroadcast } = differentiable('add');
const subtraction = differentiable('subtract');
const multiplication = differentiable('multiply');
const division = differentiable('divide');
const larger = differentiable('maximum');
const smaller = differentiable('minimum');
const power = differentiable('pow');

export const subtractOperation = subtraction.own;
export const multiplyOperation = multiplication.own;
export const divideOperation = division.own;
export const maximumOperation = larger.own;
export const minimumOperation = smaller.own;
export const powOperation = power.own;
/** a - b, repeated to one shape, as all functions of this file. */
export const subtract = subtraction.apply;
/** a * b elementwise. */
export const multiply = multiplication.apply;
/** a / b elementwise. */
export const divide = division.apply;
/** The larger of a and b; where they are equal, each gets half of the gradient. NaN if either is. */
export const maximum = larger.apply;
/** The smaller of a and b, likewise. */
export const minimum = smaller.apply;
/** a to the power b: 1 where b is 0, NaN where a is negative and b not whole. */
export const pow = power.apply;

const COMPARISONS = ['equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual'] as const;
type ComparisonName = (typeof COMPARISONS)[number];

export const COMPARISON_OPERATIONS = Object.fromEntries(
  COMPARISONS.map((name) => [name, tracedOperation<null>(name)]),
) as Record<ComparisonName, Operation<null>>;

const comparison =
  (name: ComparisonName) =>
  (left: Operand, right: Operand): Tensor => {
    const { y, a, b } = computed(name, left, right);
    return onTrace(COMPARISON_OPERATIONS[name], [a, b], y, null);
  };

/** 1 where a and b are equal, else 0, in their type, without a gradient; NaN equals nothing. */
export const equal = comparison('equal');
export const notEqual = comparison('notEqual');
/** 1 where a < b, else 0. */
export const less = comparison('less');
export const lessEqual = comparison('lessEqual');
export const greater = comparison('greater');
export const greaterEqual = comparison('greaterEqual');
