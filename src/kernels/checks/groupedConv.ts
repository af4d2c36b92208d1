/** Checks of convolution in groups and with dilation. */
import { convOutputSize } from '../conv2d.ts';
import {
  groupedConvFilterGradient,
  groupedConvForward,
  groupedConvGradientsReference,
  groupedConvInputGradient,
  groupedConvReference,
  type GroupedConvShape,
} from '../groupedConv.ts';
import type { KernelCheck } from './check.ts';
import { doubles, normals } from './inputs.ts';

const shapeOf = (
  [B, C, H, W]: readonly [number, number, number, number],
  [K, R, S]: readonly [number, number, number],
  { stride = 1, pad = 0, groups = 1, dilation = 1 },
): GroupedConvShape => ({
  B,
  C,
  H,
  W,
  K,
  R,
  S,
  OH: convOutputSize(H, dilation * (R - 1) + 1, stride, pad),
  OW: convOutputSize(W, dilation * (S - 1) + 1, stride, pad),
  stride,
  pad,
  groups,
  dilation,
});

/** Depthwise, with two filters a channel, in groups, dilated. */
const SHAPES: readonly GroupedConvShape[] = [
  shapeOf([2, 5, 13, 11], [5, 5, 5], { stride: 2, pad: 2, groups: 5 }),
  shapeOf([1, 3, 7, 9], [6, 3, 3], { pad: 1, groups: 3 }),
  shapeOf([2, 6, 8, 7], [4, 3, 2], { stride: 2, pad: 1, groups: 2, dilation: 2 }),
  shapeOf([1, 3, 9, 10], [5, 3, 3], { pad: 2, dilation: 2 }),
];

const nameOf = ({ B, C, H, W, K, R, S, stride, pad, groups, dilation }: GroupedConvShape): string =>
  `${B}x${C}x${H}x${W} by ${K}x${R}x${S} stride ${stride} pad ${pad} groups ${groups} dilation ${dilation}`;

const TOLERANCE = { atol: 2e-5, rtol: 1e-5 };

export const groupedConvChecks: readonly (() => KernelCheck)[] = SHAPES.flatMap((shape) => {
  const { B, C, H, W, K, R, S, OH, OW, groups } = shape;
  const inputs = () => ({
    x: normals(B * C * H * W, 71),
    w: normals((K * C * R * S) / groups, 72),
    bias: normals(K, 73),
    dy: normals(B * K * OH * OW, 74),
  });
  const forward = (bias: boolean, relu: boolean) => (): KernelCheck => {
    const { x, w, bias: added, dy } = inputs();
    return {
      name: `grouped_conv2d_forward${relu ? '_relu' : ''} ${nameOf(shape)}${bias ? ' bias' : ''}`,
      kernel: groupedConvForward(bias, relu),
      buffers: { x, w, ...(bias && { bias: added }), y: new Float32Array(dy.length) },
      uniforms: shape,
      expected: { y: groupedConvReference(doubles(x), doubles(w), bias ? doubles(added) : null, shape, relu) },
      ...TOLERANCE,
    };
  };
  const gradient = (what: 'dx' | 'dw', add: boolean) => (): KernelCheck => {
    const { x, w, dy } = inputs();
    const expected = groupedConvGradientsReference(doubles(x), doubles(w), doubles(dy), shape)[what];
    const before = normals(expected.length, 75);
    return {
      name: `grouped_conv2d gradient ${what}${add ? ' added' : ''} ${nameOf(shape)}`,
      kernel: what === 'dx' ? groupedConvInputGradient(add) : groupedConvFilterGradient(add),
      buffers: what === 'dx' ? { dy, w, dx: before } : { x, dy, dw: before },
      uniforms: what === 'dx' ? shape : { ...shape, inputs: C / groups },
      expected: { [what]: expected.map((value, i) => value + (add ? before[i]! : 0)) },
      ...TOLERANCE,
    };
  };
  return [
    forward(true, true),
    forward(false, false),
    gradient('dx', false),
    gradient('dx', true),
    gradient('dw', false),
    gradient('dw', true),
  ];
});
