/**
 * Edge maps that other programs computed, for EdgeBoxes: a file for each image, named after it.
 *
 *   NAME.png               the magnitude: black for none, white for 1
 *   NAME.orientation.png   optional: the direction across the edge, 0 to 255 for 0 to 255/256 pi (0: a vertical edge)
 *
 * Only the red channel is read. A map may be larger or smaller than its image, but must have its shape.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readImage } from '../../data/images.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import { UserError } from '../../engine/errors.ts';
import type { MeasuredEdges } from '../edgeMap.ts';

const mapPath = (folder: string, id: string): string => join(folder, `${id}.png`);

/** Throws if an image has no map, so that a long run does not find out at its end. */
export function assertEdgeMaps(folder: string, samples: readonly { id: string }[]): void {
  const without = samples.filter(({ id }) => !existsSync(mapPath(folder, id)));
  if (without.length === 0) return;
  throw new UserError(
    `${mapPath(folder, without[0]!.id)}: there is no such file, and no edge map for ${without.length} of ${samples.length} images; compute them, or choose another --edges`,
  );
}

export async function readEdgeMap(
  folder: string,
  { id, width, height }: { id: string; width: number; height: number },
): Promise<MeasuredEdges> {
  const path = mapPath(folder, id);
  const map = await readImage(path);
  const sameShape =
    Math.abs(map.height - (map.width * height) / width) <= 1 ||
    Math.abs(map.width - (map.height * width) / height) <= 1;
  if (!sameShape) {
    throw new UserError(
      `${path}: is ${map.width}x${map.height}, not of the shape of its ${width}x${height} image; compute it from that image`,
    );
  }
  const orientationPath = join(folder, `${id}.orientation.png`);
  let orientations: Float32Array | undefined;
  if (existsSync(orientationPath)) {
    const angles = await readImage(orientationPath);
    if (angles.width !== map.width || angles.height !== map.height) {
      throw new UserError(
        `${orientationPath}: is ${angles.width}x${angles.height}, but ${path} is ${map.width}x${map.height}; they must have one size`,
      );
    }
    orientations = firstChannel(angles, Math.PI / 256);
  }
  return { width: map.width, height: map.height, magnitudes: firstChannel(map, 1 / 255), orientations };
}

function firstChannel({ rgba }: DecodedImage, scale: number): Float32Array {
  const values = new Float32Array(rgba.length / 4);
  for (let i = 0; i < values.length; i++) values[i] = rgba[4 * i] * scale;
  return values;
}
