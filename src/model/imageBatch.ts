/**
 * Images that go through a network together, as torchvision's detectors put them (models/detection/transform.py, batch_images):
 * zeros, the mean colour, below and to the right of each, up to the height of the highest and the width of the widest.
 */
import { UserError } from '../engine/errors.ts';
import { concat, slice } from '../engine/ops/axes.ts';
import { pad } from '../engine/ops/joining.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { PreparedImage } from './detector.ts';

/** x [1, C, H, W] with zeros below and to the right, to `height` x `width`; x itself if it has that size. */
export function padTo(x: Tensor, [height, width]: readonly [height: number, width: number]): Tensor {
  const [, , h, w] = x.shape as [number, number, number, number];
  if (h === height && w === width) return x;
  return x.gpu.scope(() => pad(x, [[0, 0], [0, 0], [0, height - h], [0, width - w]])); // prettier-ignore
}

/** The images as one: its tensor is [N, 3, H, W], the rest that of the first. One image is returned as it is. */
export function batchOf(images: readonly PreparedImage[]): PreparedImage {
  const [first] = images;
  if (!first) throw new Error('batchOf: there are no images');
  if (images.length === 1) return first;
  if (images.some(({ scales }) => scales))
    throw new UserError('training.microBatch: images at several scales are computed one by one; leave it out');
  const largest = (axis: number): number => Math.max(...images.map(({ tensor }) => tensor.shape[axis]!));
  const size = [largest(2), largest(3)] as const;
  const tensor = first.tensor.gpu.scope(() =>
    concat(
      images.map((image) => padTo(image.tensor, size)),
      0,
    ),
  );
  return { ...first, tensor };
}

/** What belongs to image `k` in a tensor [N, ...] of a batch, [1, ...]; of a batch of one the tensor itself. */
export const partOf = (x: Tensor, k: number): Tensor => (x.shape[0] === 1 ? x : slice(x, 0, k, k + 1));
