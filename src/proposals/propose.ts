/** Proposals without learning for one image, by the name of the method. Knows no files and no device. */
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import { Random } from '../kernels/rng.ts';
import { edgeBoxes } from './edgeBoxes.ts';
import { edgesFrom, gradientEdges, type MeasuredEdges } from './edgeMap.ts';
import { type Planes, planesOf, resized } from './planes.ts';
import type { ScoredBoxes } from '../kernels/boxes.ts';
import { selectiveSearch } from './selectiveSearch.ts';

export const PROPOSAL_METHODS = ['selective-search', 'edge-boxes'] as const;
export type ProposalMethod = (typeof PROPOSAL_METHODS)[number];

export interface ProposalSettings {
  method: ProposalMethod;
  /** Images are resized so that their longer side has so many pixels; the sizes in the methods' settings are for about 500. */
  longerSide: number;
  /** At most so many boxes an image, the best. */
  most: number;
  /** Of the order that Selective Search draws. */
  seed: number;
}

/** As in Fast R-CNN's preparation, which resizes to this width. */
export const DEFAULT_LONGER_SIDE = 500;

/** What Fast R-CNN uses of either method. */
export const DEFAULT_MOST = 2000;

/** The stream of random numbers of an image: it depends on the name alone, so the boxes do too, whatever is computed beside it. */
function streamOf(id: string): number {
  let hash = 0x811c9dc5; // FNV-1a
  for (const byte of new TextEncoder().encode(id)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/**
 * The proposals of a image in its own pixels, best first. Where a method finds nothing, the whole image is the one proposal.
 *
 * @param id the name of the image, which with the seed gives the random numbers
 * @param edges used by EdgeBoxes in place of the image's gradient; of the image's shape, in any size
 */
export function proposeBoxes(
  image: DecodedImage,
  id: string,
  settings: ProposalSettings,
  edges?: MeasuredEdges,
): ScoredBoxes {
  const { method, longerSide, most, seed } = settings;
  const { width, height } = image;
  const small = (): Planes => {
    const scale = longerSide / Math.max(width, height);
    const side = (length: number): number => Math.max(1, Math.round(length * scale));
    return resized(planesOf(image), side(width), side(height));
  };
  let found: ScoredBoxes;
  let size: { width: number; height: number };
  if (method === 'selective-search') {
    const rgb = small();
    size = rgb;
    found = selectiveSearch(rgb, new Random(seed, streamOf(id)));
  } else {
    const map = edges ? edgesFrom(edges) : gradientEdges(small());
    size = map;
    found = edgeBoxes(map);
  }
  const [scaleX, scaleY] = [width / size.width, height / size.height];
  const count = Math.min(most, found.scores.length);
  if (count === 0) return { boxes: Float32Array.of(0, 0, width - 1, height - 1), scores: Float32Array.of(0) };
  const boxes = found.boxes.slice(0, 4 * count);
  for (let i = 0; i < boxes.length; i += 4) {
    boxes[i] = Math.min(width - 1, boxes[i] * scaleX);
    boxes[i + 1] = Math.min(height - 1, boxes[i + 1] * scaleY);
    boxes[i + 2] = Math.max(boxes[i], (boxes[i + 2] + 1) * scaleX - 1);
    boxes[i + 3] = Math.max(boxes[i + 1], (boxes[i + 3] + 1) * scaleY - 1);
  }
  return { boxes, scores: found.scores.slice(0, count) };
}
