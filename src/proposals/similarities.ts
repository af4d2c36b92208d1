/** How alike two regions are, each measure from 0 to 1 (Uijlings et al. 2013, section 3.2). */
import type { Regions } from './regionFeatures.ts';

/** `pixels`: those of the image. */
export type Similarity = (regions: Regions, a: number, b: number, pixels: number) => number;

/** The intersection of the histograms of colour. */
export const colourSimilarity: Similarity = ({ colours, colourLength }, a, b) =>
  intersection(colours, colourLength, a, b);

/** The intersection of the histograms of texture. */
export const textureSimilarity: Similarity = ({ textures, textureLength }, a, b) =>
  intersection(textures, textureLength, a, b);

/** 1 - (|a| + |b|) / |image|: small regions merge early. */
export const sizeSimilarity: Similarity = ({ sizes }, a, b, pixels) => 1 - (sizes[a] + sizes[b]) / pixels;

/** 1 - (|bounding box of both| - |a| - |b|) / |image|: regions that fit into each other merge. */
export const fillSimilarity: Similarity = ({ sizes, boxes }, a, b, pixels) => {
  const [i, j] = [4 * a, 4 * b];
  const width = Math.max(boxes[i + 2], boxes[j + 2]) - Math.min(boxes[i], boxes[j]) + 1;
  const height = Math.max(boxes[i + 3], boxes[j + 3]) - Math.min(boxes[i + 1], boxes[j + 1]) + 1;
  return 1 - (width * height - sizes[a] - sizes[b]) / pixels;
};

function intersection(rows: Float64Array, length: number, a: number, b: number): number {
  let sum = 0;
  for (let i = 0, p = a * length, q = b * length; i < length; i++, p++, q++) {
    sum += rows[p] < rows[q] ? rows[p] : rows[q];
  }
  return sum;
}
