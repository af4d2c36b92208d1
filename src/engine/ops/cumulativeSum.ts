/** Sums of everything up to each element of an axis. */
import type { ChannelView } from '../../kernels/channelView.ts';
import { cumulativeSum } from '../../kernels/cumulativeSum.ts';
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { axisView, resolveAxis } from './shapes.ts';

export const cumsumOperation = operation<{ view: ChannelView; axis: number }>('cumsum', ({ dy }, { view }) => {
  const dx = dy.gpu.empty(dy.shape, 'f32', 'dx cumsum');
  dy.gpu.run(cumulativeSum(true), { x: dy, y: dx }, { ...view });
  return [dx];
});

/** y[.., j, ..] = x[.., 0, ..] + ... + x[.., j, ..] along an axis, added in this order. */
export function cumsum(x: Tensor, axis: number): Tensor {
  const at = resolveAxis('cumsum', axis, x.shape.length);
  const view = axisView(x.shape, at);
  const y = x.gpu.empty(x.shape, 'f32', `cumsum ${x.name}`);
  x.gpu.run(cumulativeSum(false), { x, y }, { ...view });
  return onTape(cumsumOperation, [x], y, { view, axis: at });
}
