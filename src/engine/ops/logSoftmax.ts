/** The logarithm of softmax. */
import type { ChannelView } from '../../kernels/channelView.ts';
import { logSoftmaxBackward, logSoftmaxForward } from '../../kernels/logSoftmax.ts';
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { axisView, resolveAxis } from './shapes.ts';

export const logSoftmaxOperation = operation<{ y: Tensor; axis: number; view: ChannelView }>(
  'logSoftmax',
  ({ dy }, { y, view }) => {
    const dx = dy.gpu.empty(dy.shape, 'f32', 'dx logSoftmax');
    dy.gpu.run(logSoftmaxBackward, { y, dy, dx }, { ...view });
    return [dx];
  },
);

/** log softmax(x) along an axis, finite where softmax is 0 in float32. With labels, `softmaxLogLoss` is its mean. */
export function logSoftmax(x: Tensor, axis: number): Tensor {
  const at = resolveAxis('logSoftmax', axis, x.shape.length);
  const view = axisView(x.shape, at);
  const y = x.gpu.empty(x.shape, 'f32', `logSoftmax ${x.name}`);
  x.gpu.run(logSoftmaxForward, { x, y }, { ...view });
  return onTape(logSoftmaxOperation, [x], y, { y, axis: at, view });
}
