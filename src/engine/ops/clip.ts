/** Bounds of elements. */
import { clip as clipKernel, clipBackward } from '../../kernels/clip.ts';
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';

type Saved = { x: Tensor; bounds: { low: number; high: number } };

export const clipOperation = operation<Saved>('clip', ({ dy }, { x, bounds }) => {
  const dx = dy.gpu.empty(x.shape, 'f32', 'dx clip');
  dy.gpu.run(clipBackward, { x, dy, dx }, { n: x.size, ...bounds });
  return [dx];
});

/** min(max(x, low), high), any shape; `-Infinity` and `Infinity` are no bounds. The gradient passes from low to high inclusive. */
export function clip(x: Tensor, low: number, high: number): Tensor {
  if (!(low <= high)) throw new Error(`clip: the bounds are ${low} and ${high}, expected low <= high`);
  const y = x.gpu.empty(x.shape, 'f32', `clip ${x.name}`);
  const bounds = { low, high };
  x.gpu.run(clipKernel, { x, y }, { n: x.size, ...bounds });
  return onTape(clipOperation, [x], y, { x, bounds });
}
