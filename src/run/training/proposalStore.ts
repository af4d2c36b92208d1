/**
 * The proposals for the images that a stage of training will see, kept on disk so that a stopped run resumes at its stage. A
 * safetensors file:
 *   boxes [total, 4]   x1, y1, x2, y2 in pixels of the original image, image after image, best first
 *   counts [images]    how many of them belong to each image of the data set
 */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { loadSafetensors, saveSafetensors } from '../../engine/node/safetensorsFile.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Dataset } from '../../data/types.ts';
import { ALONE } from '../../distributed/processes.ts';
import type { ProposalConfig } from '../../model/config.ts';
import type { Detector, PreparedImage } from '../../model/detector.ts';
import { proposeImage } from '../evaluation/detect.ts';
import { eachImage, type EachImageOptions } from '../evaluation/eachImage.ts';

export class ProposalStore {
  /** The number of rows that `upload` makes. */
  readonly capacity: number;
  private readonly boxes: Float32Array;
  private readonly counts: readonly number[];
  /** Where the boxes of each image begin. */
  private readonly starts: readonly number[];
  private readonly total: number;

  constructor(boxes: Float32Array, counts: readonly number[]) {
    this.boxes = boxes;
    this.counts = counts;
    let total = 0;
    this.starts = counts.map((count) => (total += count) - count);
    this.total = total;
    this.capacity = counts.reduce((most, count) => Math.max(most, count), 1);
  }

  /** The proposals of a trained RPN for the images with these numbers; null once the signal is aborted. */
  static async collect(
    model: Detector,
    { samples }: Dataset,
    images: ReadonlySet<number>,
    limits: ProposalConfig,
    options: EachImageOptions = {},
  ): Promise<ProposalStore | null> {
    const seen = [...samples.entries()].filter(([index]) => images.has(index));
    const found = await eachImage(
      seen.map(([index, sample]) => ({ index, load: () => sample.load() })),
      async ({ index }, picture) => {
        const proposals = await proposeImage(model, picture, { limits, seed: index });
        return proposals.flatMap(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]);
      },
      options,
    );
    if (found === null) return null;
    const counts = samples.map(() => 0);
    seen.forEach(([index], i) => (counts[index] = found[i]!.length / 4));
    const all = new Float32Array(found.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of found) {
      all.set(part, at);
      at += part.length;
    }
    return new ProposalStore(all, counts);
  }

  async save(path: string): Promise<void> {
    await saveSafetensors(path, {
      boxes: { shape: [this.boxes.length / 4, 4], data: this.boxes },
      counts: { shape: [this.counts.length], data: Float32Array.from(this.counts) },
    });
  }

  /** Process 0 reads the file, for all. Throws if it does not hold the proposals of this many images. */
  static async load(path: string, images: number, processes = ALONE): Promise<ProposalStore> {
    let store: ProposalStore | undefined;
    const counts = await processes.lead(async () => {
      const { boxes, counts } = (await loadSafetensors(path)).tensors;
      store = boxes && counts && new ProposalStore(Float32Array.from(boxes.data), [...counts.data]);
      if (store?.counts.length !== images || store.boxes.length !== 4 * store.total) {
        throw new UserError(`${path}: does not hold the proposals of ${images} images; remove it and resume`);
      }
      return store.counts;
    });
    const boxes = store?.boxes ?? new Float32Array(4 * counts.reduce((sum, count) => sum + count, 0));
    await processes.share(new Uint8Array(boxes.buffer));
    return store ?? new ProposalStore(boxes, counts);
  }

  /** The proposals of image `index` as RoIs of the network's input: [capacity, 5], of which `count` are used. */
  upload(gpu: Gpu, index: number, flip: boolean, image: PreparedImage): { rois: Tensor; count: Tensor } {
    const count = this.counts[index]!;
    const rows = new Float32Array(this.capacity * 5);
    for (let k = 0; k < count; k++) {
      const at = (this.starts[index]! + k) * 4;
      const [x1, y1, x2, y2] = this.boxes.subarray(at, at + 4) as unknown as [number, number, number, number];
      const last = image.original.width - 1;
      const corners = flip ? [last - x2, y1, last - x1, y2] : [x1, y1, x2, y2];
      corners.forEach((value, i) => (rows[k * 5 + 1 + i] = value * image.scale));
    }
    return {
      rois: gpu.tensor(rows, [this.capacity, 5], 'stored proposals'),
      count: gpu.tensor(Int32Array.of(count), [1], 'proposal count'),
    };
  }
}
