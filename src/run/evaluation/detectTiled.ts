import { cutTile, type TileOptions, tilesOf } from '../../data/tiles.ts';
import { mergeDetections } from '../../eval/mergeTiles.ts';
import type { Detection } from '../../eval/voc.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import type { Detector } from '../../model/detector.ts';
import { detectImage } from './detect.ts';

/**
 * The objects in a picture, found in its tiles and in the whole of it, which sees those that are larger than a tile. Otherwise as
 * `detectImage`; a picture that is no larger than a tile is detected as it is.
 */
export async function detectTiled(
  model: Detector,
  picture: DecodedImage,
  options: TileOptions,
  seed = 0,
): Promise<Detection[]> {
  const found = await detectImage(model, picture, seed);
  const tiles = tilesOf(picture, options);
  if (tiles.length === 1) return found;
  for (const tile of tiles) {
    for (const { x1, y1, x2, y2, ...detection } of await detectImage(model, cutTile(picture, tile), seed)) {
      const { left, top } = tile;
      found.push({ x1: x1 + left, y1: y1 + top, x2: x2 + left, y2: y2 + top, ...detection });
    }
  }
  return mergeDetections(found);
}
