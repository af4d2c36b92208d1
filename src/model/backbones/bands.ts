/**
 * Layers whose maps are larger than the device can bind run in bands of rows: each band of the input is cut out with a margin,
 * goes through the layers, and the rows that the cut has disturbed are dropped from its result. Every step is an operation on
 * the tape, so the layers may be trained.
 */
import { concat, slice } from '../../engine/ops/axes.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { chain } from './backbone.ts';

export interface Bands {
  /** Channels of the largest map, which is as high and wide as the input. */
  readonly channels: number;
  /** Rows of the input per row of the result. */
  readonly stride: number;
  /** Rows of the input above and below that a row of the result depends on. */
  readonly reach: number;
}

/** The height of the tallest Winograd tile, in rows. */
const TILE = 4;

/**
 * Runs `layers` on x [N, C, H, W] with the same result as on the whole, bit for bit: a Winograd tile that contributes rows to
 * the result reads no disturbed row and is aligned as in the whole map.
 */
export function inBands(
  x: Tensor,
  layers: readonly ((x: Tensor) => Tensor)[],
  { channels, stride, reach }: Bands,
): Tensor {
  const [images, , height, width] = x.shape as [number, number, number, number];
  const unit = TILE * stride;
  const units = (rows: number): number => Math.ceil(rows / unit) * unit;
  // A disturbed row disturbs the rounding of its whole tile, which in turn disturbs a tile of the next layer.
  const margin = units(reach * TILE);
  const fitting = Math.floor(x.gpu.plans.device.maxBindingBytes / (4 * images * channels * width));
  if (height <= fitting) return chain(x, layers);
  const most = Math.max(unit, Math.floor((fitting - 2 * margin) / unit) * unit);
  const rows = units(height / Math.ceil(height / most));
  const parts: Tensor[] = [];
  for (let from = 0; from < height; from += rows) {
    const [top, bottom] = [Math.max(0, from - margin), Math.min(height, from + rows + margin)];
    const to = Math.min(height, from + rows);
    parts.push(
      chain(x, [
        (image) => slice(image, 2, top, bottom),
        ...layers,
        (map) => slice(map, 2, (from - top) / stride, Math.ceil((to - top) / stride)),
      ]),
    );
  }
  return concat(parts, 2);
}
