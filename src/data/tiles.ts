/**
 * Tiles: windows of a large picture that overlap, so that small objects are seen at their full size.
 *
 * Along each axis neighbours overlap by at least `overlap` of their side, and the last tile ends with the picture (Akyon et al. 2022,
 * SAHI).
 */
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import { countedBoxes } from './boxes.ts';
import type { AnnotatedBox, Dataset, Sample } from './types.ts';

export interface TileOptions {
  /** Width and height in pixels. */
  side: number;
  /** The share of the side by which neighbours overlap at least. */
  overlap: number;
}

export interface Tile {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The least share of an object's area within a tile for which the tile has it. */
const VISIBLE = 0.3;

/** The tiles of a picture, row by row; the picture itself where it is no larger than one. */
export function tilesOf({ width, height }: { width: number; height: number }, options: TileOptions): Tile[] {
  const [columns, rows] = [starts(width, options), starts(height, options)];
  const side = (length: number): number => Math.min(options.side, length);
  return rows.flatMap((top) => columns.map((left) => ({ left, top, width: side(width), height: side(height) })));
}

function starts(length: number, { side, overlap }: TileOptions): number[] {
  if (length <= side) return [0];
  const step = Math.max(1, Math.floor(side * (1 - overlap)));
  const last = length - side;
  const count = Math.ceil(last / step);
  return Array.from({ length: count + 1 }, (_, i) => Math.min(i * step, last));
}

export function cutTile({ width, rgba }: DecodedImage, tile: Tile): DecodedImage {
  const part = new Uint8Array(4 * tile.width * tile.height);
  for (let y = 0; y < tile.height; y++) {
    const from = 4 * ((tile.top + y) * width + tile.left);
    part.set(rgba.subarray(from, from + 4 * tile.width), 4 * y * tile.width);
  }
  return { width: tile.width, height: tile.height, rgba: part };
}

/**
 * The tiles of a data set's images as images of their own, with the objects that are in them. A tile without an object is left
 * out, unless its whole image has none.
 */
export function tiledDataset(dataset: Dataset, options: TileOptions): Dataset {
  const samples = dataset.samples.flatMap((sample) => {
    const tiles = tilesOf(sample, options).map((tile) => tileSample(sample, tile));
    const empty = countedBoxes(sample.boxes).length === 0;
    return tiles.filter(({ boxes }) => empty || countedBoxes(boxes).length > 0);
  });
  const note = `trains on ${samples.length} tiles of ${options.side} pixels from ${dataset.samples.length} images`;
  return { ...dataset, samples, notes: [...dataset.notes, note] };
}

function tileSample(sample: Sample, tile: Tile): Sample {
  if (tile.width === sample.width && tile.height === sample.height) return sample;
  const { left, top, width, height } = tile;
  const { id, file } = sample;
  return {
    id: `${id}@${left},${top}`,
    width,
    height,
    boxes: sample.boxes.flatMap((box) => boxInTile(box, tile)),
    ...(file !== undefined && { file }),
    load: async () => cutTile(await sample.load(), tile),
  };
}

function boxInTile({ bbox: _bbox, area: _area, ...box }: AnnotatedBox, tile: Tile): AnnotatedBox[] {
  const x1 = Math.max(box.x1 - tile.left, 0);
  const y1 = Math.max(box.y1 - tile.top, 0);
  const x2 = Math.min(box.x2 - tile.left, tile.width - 1);
  const y2 = Math.min(box.y2 - tile.top, tile.height - 1);
  if (x2 < x1 || y2 < y1) return [];
  const share = ((x2 - x1 + 1) * (y2 - y1 + 1)) / ((box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1));
  return share >= VISIBLE ? [{ ...box, x1, y1, x2, y2 }] : [];
}
