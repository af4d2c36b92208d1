/** Checks of the kernels that place values: repeated along axes, or with axes in another order. */
import { expand, expandReference, type Repetition } from '../broadcast.ts';
import type { Kernel } from '../kernel.ts';
import { copyUniforms, permuteView, stridedCopy, stridedCopyReference } from '../stridedCopy.ts';
import type { StridedView } from '../strides.ts';
import type { ChannelView } from '../channelView.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals } from './inputs.ts';

/** One number per repetition. */
const repeatedSize = (of: Repetition, { outer, channels, inner }: ChannelView): number =>
  of === 'channels' ? channels : outer * inner;

const repeatedName = (of: Repetition, { outer, channels, inner }: ChannelView): string =>
  `${of} ${outer}x${channels}x${inner}`;

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

/** Values that are copied in the order of strides, from a tensor of `size` values. */
export function stridedCopyCheck(name: string, size: number, view: StridedView): KernelCheck {
  const x = normals(size, 1);
  const y = stridedCopyReference(doubles(x), view);
  return {
    name,
    kernel: stridedCopy(view.extents.length),
    buffers: { x, y: new Float32Array(y.length) },
    uniforms: copyUniforms(view),
    expected: { y },
    ...EXACT,
  };
}

export const permuteCheck = (shape: readonly number[], order: readonly number[]): KernelCheck =>
  stridedCopyCheck(
    `permute ${shape.join('x')} to ${order}`,
    shape.reduce((product, n) => product * n, 1),
    permuteView(shape, order),
  );
