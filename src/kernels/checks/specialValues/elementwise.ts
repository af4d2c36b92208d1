/** Special values of functions of one number and of two, and other operations element by element. */
import { type BinaryName, binaryBackward, binaryForward, gradientReads } from '../../binary.ts';
import { expand } from '../../broadcast.ts';
import { clip, clipBackward } from '../../clip.ts';
import { dropout } from '../../dropout.ts';
import { accumulate, add, cast, fill, scale } from '../../elementwise.ts';
import { broadcastScalar } from '../../reduce.ts';
import { addReluForward, reluBackward, reluForward } from '../../relu.ts';
import { unaryBackward, unaryForward, type UnaryName } from '../../unary.ts';
import { where, whereBackward } from '../../where.ts';
import type { KernelCheck } from '../check.ts';
import { BIG, CHANNEL, f32, I, row, u32 } from './row.ts';

/** Inputs of the functions of one number. */
const X = [NaN, -NaN, I, -I, 0, -0, BIG, -BIG];
const SUBNORMAL = Math.fround(1e-40);
const FUNCTIONS: Record<UnaryName, readonly number[]> = {
  sigmoid: [NaN, NaN, 1, 0, 0.5, 0.5, 1, 0],
  tanh: [NaN, NaN, 1, -1, 0, 0, 1, -1],
  softplus: [NaN, NaN, I, 0, Math.LN2, Math.LN2, BIG, 0],
  exp: [NaN, NaN, I, 0, 1, 1, I, 0],
  log: [NaN, NaN, I, NaN, -I, -I, 69.07755279, NaN],
  sqrt: [NaN, NaN, I, NaN, 0, 0, 1e15, NaN],
  abs: [NaN, NaN, I, I, 0, 0, BIG, BIG],
  hardSigmoid: [NaN, NaN, 1, 0, 0.5, 0.5, 1, 0],
  hardSwish: [NaN, NaN, I, NaN, 0, 0, BIG, 0],
  gelu: [NaN, NaN, I, NaN, 0, 0, BIG, 0],
  silu: [NaN, NaN, I, NaN, 0, 0, BIG, 0],
  reciprocal: [NaN, NaN, 0, 0, I, -I, 0, 0],
};

/** Their derivatives, at results y or inputs x, whichever the kernel reads. */
const DERIVATIVES: Record<UnaryName, { value: readonly number[]; dx: readonly number[] }> = {
  sigmoid: { value: [NaN, 1, 0, 0.5], dx: [NaN, 0, 0, 0.25] },
  tanh: { value: [NaN, 1, -1, 0], dx: [NaN, 0, 0, 1] },
  softplus: { value: [NaN, I, -I, 0], dx: [NaN, 1, 0, 0.5] },
  exp: { value: [NaN, I, 0, 1], dx: [NaN, I, 0, 1] },
  log: { value: [NaN, I, -I, 0], dx: [NaN, 0, 0, I] },
  sqrt: { value: [NaN, I, 0, 1], dx: [NaN, 0, I, 0.5] },
  abs: { value: [NaN, I, -I, 0], dx: [NaN, 1, -1, 0] },
  hardSigmoid: { value: [NaN, I, -I, 0], dx: [NaN, 0, 0, 1 / 6] },
  hardSwish: { value: [NaN, I, -I, 0], dx: [NaN, 1, 0, 0.5] },
  gelu: { value: [NaN, BIG, -BIG, 0], dx: [NaN, 1, 0, 0.5] },
  silu: { value: [NaN, BIG, -BIG, 0], dx: [NaN, 1, 0, 0.5] },
  reciprocal: { value: [NaN, I, -I, 0], dx: [NaN, -I, -I, 0] },
};

/** Two numbers, the function, and the gradients of both for dy = 1. */
const PAIRS: Record<BinaryName, readonly (readonly number[])[]> = {
  add: [
    [NaN, 1, NaN, 1, 1],
    [I, -I, NaN, 1, 1],
    [I, I, I, 1, 1],
    [1, -I, -I, 1, 1],
  ],
  subtract: [
    [NaN, 1, NaN, 1, -1],
    [I, I, NaN, 1, -1],
    [I, -I, I, 1, -1],
    [1, I, -I, 1, -1],
  ],
  multiply: [
    [NaN, 0, NaN, 0, NaN],
    [I, 0, NaN, 0, I],
    [I, -1, -I, -1, I],
    [BIG, BIG, I, BIG, BIG],
  ],
  divide: [
    [NaN, 1, NaN, 1, NaN],
    [1, 0, I, I, -I],
    [0, 0, NaN, I, NaN],
    [I, I, NaN, 0, NaN],
    [1, I, 0, 0, 0],
    [-1, 0, -I, I, I],
  ],
  maximum: [
    [NaN, 1, NaN, 1, 1],
    [1, NaN, NaN, 1, 1],
    [I, 1, I, 1, 0],
    [-I, -BIG, -BIG, 0, 1],
    [0, -0, 0, 0.5, 0.5],
    [I, I, I, 0.5, 0.5],
  ],
  minimum: [
    [NaN, 1, NaN, 1, 1],
    [1, NaN, NaN, 1, 1],
    [I, 1, 1, 0, 1],
    [-I, -BIG, -I, 1, 0],
    [0, -0, 0, 0.5, 0.5],
    [I, I, I, 0.5, 0.5],
  ],
  pow: [
    [NaN, 0, 1, 0, NaN],
    [NaN, 1, NaN, 1, NaN],
    [1, NaN, 1, NaN, 0],
    [1, I, 1, I, 0],
    [-2, 3, -8, 12, NaN],
    [-2, 0.5, NaN, NaN, NaN],
    [0, 2, 0, 0, 0],
    [0, -1, I, -I, -I],
    [I, 2, I, I, I],
    [I, -1, 0, 0, NaN],
    [-I, 3, -I, I, NaN],
    [2, I, I, I, I],
    [0.5, I, 0, NaN, 0],
    [BIG, 2, I, 2 * BIG, I],
    [-0, -1, -I, -I, I],
    [4, 0, 1, 0, Math.log(4)],
    [0, -0, 1, 0, 0],
    [0, NaN, NaN, NaN, NaN],
    [-3, 2, 9, -6, NaN],
  ],
  equal: [
    [NaN, NaN, 0],
    [I, I, 1],
    [0, -0, 1],
    [1, 2, 0],
  ],
  notEqual: [
    [NaN, NaN, 1],
    [I, I, 0],
    [0, -0, 0],
    [1, 2, 1],
  ],
  less: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-I, -BIG, 1],
    [0, -0, 0],
    [-0, 0, 0],
    [I, I, 0],
  ],
  lessEqual: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-I, -BIG, 1],
    [0, -0, 1],
    [-0, 0, 1],
    [I, I, 1],
  ],
  greater: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-BIG, -I, 1],
    [0, -0, 0],
    [-0, 0, 0],
    [I, I, 0],
  ],
  greaterEqual: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-BIG, -I, 1],
    [0, -0, 1],
    [-0, 0, 1],
    [I, I, 1],
  ],
};

function pairRows(name: BinaryName): (() => KernelCheck)[] {
  const [a, b, y, da, db] = [0, 1, 2, 3, 4].map((column) => PAIRS[name].map((pair) => pair[column]!)) as number[][];
  const n = a!.length;
  const inputs = { a: a!, b: b! };
  const backward = (
    [
      ['a', da!],
      ['b', db!],
    ] as const
  ).map(([side, dx]) => () => {
    const read = (['a', 'b'] as const)
      .filter((of) => gradientReads(name, side, of))
      .map((of) => [of, inputs[of]] as const);
    const ones = Array<number>(n).fill(1);
    return row(
      `${name} backward`,
      binaryBackward(name, side, 'same'),
      { dy: ones, ...Object.fromEntries(read) },
      { n },
      { dx },
    );
  });
  const forward = () => row(name, binaryForward(name, 'same'), inputs, { n }, { y: y! });
  return [forward, ...(PAIRS[name][0]!.length > 3 ? backward : [])];
}

export const elementwiseSpecialValues: readonly (() => KernelCheck)[] = [
  ...(Object.keys(FUNCTIONS) as UnaryName[]).flatMap((name) => [
    () => row(name, unaryForward(name), { x: X }, { n: 8 }, { y: FUNCTIONS[name] }),
    () => {
      const { value, dx } = DERIVATIVES[name];
      return row(`${name} backward`, unaryBackward(name), { value, dy: [1, 1, 1, 1] }, { n: 4 }, { dx });
    },
  ]),
  () =>
    row(
      'log of a subnormal number',
      unaryForward('log'),
      { x: [SUBNORMAL, 0, 0, 0] },
      { n: 1 },
      { y: [Math.log(SUBNORMAL), -I, -I, -I] },
    ),
  () => row('relu', reluForward, { x: X }, { n: 8 }, { y: [NaN, NaN, I, 0, 0, 0, BIG, 0] }),
  () => {
    const y = [NaN, -NaN, I, 0, -0, 2, 2, 0];
    const dy = [1, 2, 3, 4, 5, NaN, -I, NaN];
    return row('relu backward', reluBackward, { y, dy }, { n: 8 }, { dx: [1, 2, 3, 0, 0, NaN, -I, 0] });
  },
  () => row('add', add(2), { x0: [NaN, I, I, 1], x1: [1, -I, I, I] }, { n: 4 }, { y: [NaN, NaN, I, I] }),
  ...(Object.keys(PAIRS) as BinaryName[]).flatMap(pairRows),
  () => row('scale', scale, { x: [NaN, I, -I, 1] }, { n: 4, factor: 0 }, { y: [NaN, NaN, NaN, 0] }),
  () => {
    const check = row('accumulate', accumulate, { x: [NaN, I, -I, BIG] }, { n: 4 }, { y: [NaN, I, -I, BIG] });
    return { ...check, buffers: { ...check.buffers, y: f32(1, 1, 1, 1) } };
  },
  () =>
    row(
      'broadcast',
      binaryForward('multiply', { repeated: 'b', of: 'channels' }),
      { a: [NaN, 1, I, 1, 0, 1], b: [1, 0, I] },
      { n: 6, ...CHANNEL },
      { y: [NaN, 1, NaN, 0, NaN, I] },
    ),
  () => row('expand', expand('channels'), { b: [NaN, I, -I] }, { n: 6, ...CHANNEL }, { y: [NaN, NaN, I, I, -I, -I] }),
  () => row('broadcast scalar', broadcastScalar, { dy: [NaN] }, { n: 4 }, { dx: [NaN, NaN, NaN, NaN] }),
  () => {
    const kept = { p: 0, scale: 1, seed: 1, stream: 1 };
    return row('dropout, kept', dropout, { x: [NaN, I, 1] }, { n: 3, ...kept }, { y: [NaN, I, 1] });
  },
  () => {
    const dropped = { p: 1, scale: 1, seed: 1, stream: 1 };
    return row('dropout, dropped', dropout, { x: [NaN, I, 1] }, { n: 3, ...dropped }, { y: [NaN, NaN, 0] });
  },
  () => row('cast', cast, { x: X }, { n: 8 }, { y: X }),
  () => row('fill', fill, {}, { n: 4, value: I }, { y: [I, I, I, I] }),
  () =>
    row(
      'relu of a sum',
      addReluForward,
      { a: [NaN, I, -I, I, BIG, 1, -1, 0], b: [1, 1, 1, -I, BIG, -2, 2, 0] },
      { n: 8 },
      { y: [NaN, I, 0, NaN, 2 * BIG, 0, 1, 0] },
    ),
  () => row('clip', clip, { x: [NaN, I, -I, 0.5] }, { n: 4, low: -1, high: 1 }, { y: [NaN, 1, -1, 0.5] }),
  () =>
    row('clip without bounds', clip, { x: [NaN, I, -I, BIG] }, { n: 4, low: -I, high: I }, { y: [NaN, I, -I, BIG] }),
  () =>
    row(
      'clip backward',
      clipBackward,
      { x: [NaN, I, -I, 1, 0], dy: [1, 1, 1, NaN, I] },
      { n: 5, low: -1, high: 1 },
      { dx: [0, 0, 0, NaN, I] },
    ),
  () =>
    row(
      'where',
      where(1),
      { condition: u32(0x7fc00000, 0x80000000, 0x3f800000, 0), a: [1, NaN, I, NaN], b: [NaN, 2, NaN, -I] },
      { n: 4, condition_s0: 1, a_s0: 1, b_s0: 1 },
      { y: [1, 2, I, -I] },
    ),
  ...(['a', 'b'] as const).map(
    (side, i) => () =>
      row(
        `where backward of ${side}`,
        whereBackward(side, 1),
        { condition: u32(0x3f800000, 0), dy: [NaN, I] },
        { n: 2, condition_s0: 1 },
        { dx: i === 0 ? [NaN, 0] : [0, I] },
      ),
  ),
];
