/** Checks of the kernels that place values: repeated along axes, or with axes in another order. */
import {
  broadcast,
  type BroadcastOperator,
  broadcastReference,
  expand,
  expandReference,
  type Repetition,
} from '../broadcast.ts';
import type { Kernel } from '../kernel.ts';
import { permute, permuteReference, permuteUniforms } from '../permute.ts';
import type { ChannelView } from '../channelView.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals } from './inputs.ts';

/** One number per repetition. */
const repeatedSize = (of: Repetition, { outer, channels, inner }: ChannelView): number =>
  of === 'channels' ? channels : outer * inner;

const repeatedName = (of: Repetition, { outer, channels, inner }: ChannelView): string =>
  `${of} ${outer}x${channels}x${inner}`;

export function broadcastCheck(operator: BroadcastOperator, of: Repetition, view: ChannelView): KernelCheck {
  const { outer, channels, inner } = view;
  const n = outer * channels * inner;
  const a = normals(n, 1);
  const b = normals(repeatedSize(of, view), 2);
  return {
    name: `${operator} ${repeatedName(of, view)}`,
    kernel: broadcast(operator, of) as Kernel,
    buffers: { a, b, y: new Float32Array(n) },
    uniforms: { n, channels, inner },
    expected: { y: broadcastReference(operator, doubles(a), doubles(b), of, view) },
    atol: 1e-6,
    rtol: 1e-6,
  };
}

export function expandCheck(of: Repetition, view: ChannelView): KernelCheck {
  const { outer, channels, inner } = view;
  const n = outer * channels * inner;
  const b = normals(repeatedSize(of, view), 1);
  return {
    name: `expand ${repeatedName(of, view)}`,
    kernel: expand(of) as Kernel,
    buffers: { b, y: new Float32Array(n) },
    uniforms: { n, channels, inner },
    expected: { y: expandReference(doubles(b), of, view) },
    ...EXACT,
  };
}

export function permuteCheck(shape: readonly number[], order: readonly number[]): KernelCheck {
  const x = normals(
    shape.reduce((product, n) => product * n, 1),
    1,
  );
  return {
    name: `permute ${shape.join('x')} to ${order}`,
    kernel: permute(shape.length),
    buffers: { x, y: new Float32Array(x.length) },
    uniforms: permuteUniforms(shape, order),
    expected: { y: permuteReference(doubles(x), shape, order) },
    ...EXACT,
  };
}
