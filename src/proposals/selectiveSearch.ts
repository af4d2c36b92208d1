/**
 * Selective Search in fast mode (Uijlings et al. 2013): proposals without learning. Every region of eight hierarchies of merged
 * segments gives its bounding box.
 */
import { Random } from '../kernels/rng.ts';
import { type ColourSpace, inColourSpace } from './colourSpaces.ts';
import { segment, sortedEdges } from './graphSegmentation.ts';
import { mergeAll } from './hierarchy.ts';
import { type Planes, smoothed } from './planes.ts';
import type { ScoredBoxes } from '../kernels/boxes.ts';
import { colourBins, neighboursOf, Regions, textureBins } from './regionFeatures.ts';
import {
  colourSimilarity,
  fillSimilarity,
  type Similarity,
  sizeSimilarity,
  textureSimilarity,
} from './similarities.ts';

const COLOUR_SPACES: readonly ColourSpace[] = ['hsv', 'lab'];
/** Scales of the segmentation; they are its minimum sizes as well. */
const SCALES: readonly number[] = [50, 100];
const SIGMA = 0.8;
const STRATEGIES: readonly (readonly Similarity[])[] = [
  [colourSimilarity, textureSimilarity, sizeSimilarity, fillSimilarity],
  [textureSimilarity, sizeSimilarity, fillSimilarity],
];

/**
 * The boxes of an image in the published order: ascending by a region's position in its hierarchy (1: the last merger, the whole
 * image) times a random number from 0 to 1, of which the score is the negative. A box that comes up again is left out.
 *
 * @param rgb red, green and blue, 0 to 255; the settings were chosen for images about 500 pixels wide
 * @param random draws a number for each region
 */
export function selectiveSearch(rgb: Planes, random: Random): ScoredBoxes {
  const found: { box: Int32Array; value: number }[] = [];
  for (const space of COLOUR_SPACES) {
    const planes = inColourSpace(rgb, space);
    const edges = sortedEdges(smoothed(planes, SIGMA));
    const colour = colourBins(planes);
    const texture = textureBins(planes);
    for (const scale of SCALES) {
      const segmentation = segment(edges, scale, scale);
      const initial = Regions.of(segmentation, colour, texture);
      const neighbours = neighboursOf(segmentation);
      for (const similarities of STRATEGIES) {
        const regions = initial.copy();
        mergeAll(regions, neighbours, similarities, rgb.width * rgb.height);
        for (let region = 0; region < regions.count; region++) {
          const value = (regions.count - region) * random.next();
          found.push({ box: regions.boxes.subarray(4 * region, 4 * region + 4), value });
        }
      }
    }
  }
  found.sort((a, b) => a.value - b.value);
  const seen = new Set<number>();
  const distinct = found.filter(({ box: [x1, y1, x2, y2] }) => {
    const key = ((y2 * rgb.width + x2) * rgb.height + y1) * rgb.width + x1;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  return {
    boxes: Float32Array.from(distinct.flatMap(({ box }) => [...box])),
    scores: Float32Array.from(distinct, ({ value }) => -value),
  };
}
