/** A tensor repeated to a larger shape. */
import { operation, onTape } from '../autograd.ts';
import { broadcastShape, runExpand, summedTo } from '../repetition.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { sameShape } from './shapes.ts';

export const broadcastToOperation = operation<{ shape: Shape }>('broadcastTo', ({ dy }, { shape }) => [
  summedTo(dy.view(dy.shape), shape, 'dx broadcastTo'),
]);

/** x repeated to `shape` by NumPy's rules, in memory of its own. Elementwise functions repeat by themselves. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  const common = broadcastShape(x.shape, shape);
  if (!common || !sameShape(common, shape))
    throw new Error(`broadcastTo: [${x.shape}] cannot be repeated to [${shape}]`);
  const y = x.gpu.empty(shape, 'f32', x.name);
  runExpand(x, x.shape, y);
  return onTape(broadcastToOperation, [x], y, { shape: x.shape });
}
