/** MNIST for the examples: batches of images and labels, the same in every run. */
import { readGlyphs } from '../src/data/mnistFiles.ts';
import { type Gpu, type Tensor } from '../src/node.ts';

export interface Batch {
  /** [N, 1, 28, 28], from 0 for paper to 1 for ink. */
  images: Tensor;
  /** i32 [N]. */
  labels: Tensor;
}

/** Batch `i` of the training digits, in the order in which they are stored, or of the 10 000 test digits. */
export function digits(part: 'train' | 'test'): { count: number; batch(gpu: Gpu, i: number, size: number): Batch } {
  const { images, labels, count } = readGlyphs(part);
  const pixels = 28 * 28;
  return {
    count,
    batch(gpu, i, size) {
      const first = (i * size) % (count - size + 1);
      const values = Float32Array.from(images.subarray(first * pixels, (first + size) * pixels), (ink) => ink / 255);
      return {
        images: gpu.tensor(values, [size, 1, 28, 28], 'images'),
        labels: gpu.tensor(Int32Array.from(labels.subarray(first, first + size)), [size], 'labels'),
      };
    },
  };
}

/** The share of test digits whose largest logit is their label's. */
export async function accuracy(gpu: Gpu, logits: (images: Tensor) => Tensor, size = 500): Promise<number> {
  const { count, batch } = digits('test');
  let right = 0;
  for (let i = 0; i < count / size; i++) {
    await gpu.scope(async () => {
      const { images, labels } = batch(gpu, i, size);
      const scores = await gpu.withoutGradients(() => logits(images)).read();
      const truth = await labels.read();
      for (let n = 0; n < size; n++) {
        const own = scores.subarray(10 * n, 10 * n + 10);
        if (own.indexOf(Math.max(...own)) === truth[n]) right++;
      }
    });
  }
  return right / count;
}
