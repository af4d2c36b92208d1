/**
 * What Selective Search compares of regions (Uijlings et al. 2013, section 3.2): histograms of colour and texture, size and
 * bounding box. Also which regions touch.
 */
import type { Segmentation } from './graphSegmentation.ts';
import { filtered, gaussian, gaussianDerivative, type Planes } from './planes.ts';

/** For each pixel its bin in each of several histograms. */
export interface PixelBins {
  /** Pixel by pixel, the bin in every histogram. */
  bins: Uint8Array;
  /** Histograms, and bins in each. */
  histograms: number;
  count: number;
}

const COLOUR_BINS = 25;

/** A histogram of 25 bins for each channel. */
export function colourBins({ channels }: Planes): PixelBins {
  const histograms = channels.length;
  const bins = new Uint8Array(histograms * channels[0]!.length);
  channels.forEach((plane, channel) => {
    for (let i = 0; i < plane.length; i++) {
      bins[i * histograms + channel] = Math.min(
        COLOUR_BINS - 1,
        Math.max(0, Math.floor((plane[i] * COLOUR_BINS) / 256)),
      );
    }
  });
  return { bins, histograms, count: COLOUR_BINS };
}

const TEXTURE_BINS = 10;
const TEXTURE_SIGMA = 1;
const ORIENTATIONS = 8;

/**
 * A histogram of 10 bins for each channel and each of 8 orientations: the derivative of the Gaussian (sigma 1) in that direction,
 * 0 where it is negative, since the opposite direction has it then. Bins span 0 to the largest derivative of the channel.
 */
export function textureBins(planes: Planes): PixelBins {
  const [smooth, derivative] = [gaussian(TEXTURE_SIGMA), gaussianDerivative(TEXTURE_SIGMA)];
  const histograms = ORIENTATIONS * planes.channels.length;
  const bins = new Uint8Array(histograms * planes.width * planes.height);
  const half = ORIENTATIONS / 2;
  const directions = Array.from({ length: half }, (_, orientation) => {
    const angle = (Math.PI * orientation) / half;
    return { cos: Math.cos(angle), sin: Math.sin(angle) };
  });
  planes.channels.forEach((plane, channel) => {
    const gx = filtered(plane, planes, derivative, smooth);
    const gy = filtered(plane, planes, smooth, derivative);
    let most = 0;
    for (const { cos, sin } of directions) {
      for (let i = 0; i < gx.length; i++) {
        const response = Math.abs(cos * gx[i] + sin * gy[i]);
        if (response > most) most = response;
      }
    }
    const scale = most > 0 ? TEXTURE_BINS / most : 0;
    directions.forEach(({ cos, sin }, orientation) => {
      const forward = channel * ORIENTATIONS + orientation;
      for (let i = 0; i < gx.length; i++) {
        const response = scale * (cos * gx[i] + sin * gy[i]);
        const at = i * histograms + (response > 0 ? forward : forward + half);
        bins[at] = Math.min(TEXTURE_BINS - 1, Math.floor(Math.abs(response)));
      }
    });
  });
  return { bins, histograms, count: TEXTURE_BINS };
}

/** Regions that grow by merging: those of a segmentation first, then each merger. */
export class Regions {
  /** In pixels. */
  readonly sizes: Float64Array;
  /** x1, y1, x2, y2 of each region, corners inclusive. */
  readonly boxes: Int32Array;
  /** The bins of all histograms of a region, one after the other; their sum is 1. */
  readonly colours: Float64Array;
  readonly textures: Float64Array;
  readonly colourLength: number;
  readonly textureLength: number;
  count: number;

  private constructor(regions: Omit<Regions, 'copy' | 'merge'>) {
    this.sizes = regions.sizes;
    this.boxes = regions.boxes;
    this.colours = regions.colours;
    this.textures = regions.textures;
    this.colourLength = regions.colourLength;
    this.textureLength = regions.textureLength;
    this.count = regions.count;
  }

  /** Those of a segmentation, with room for all mergers. */
  static of({ count, labels, width, height }: Segmentation, colour: PixelBins, texture: PixelBins): Regions {
    const capacity = 2 * count - 1;
    const sizes = new Float64Array(capacity);
    const boxes = new Int32Array(4 * capacity);
    for (let region = 0; region < count; region++) boxes.set([width, height, -1, -1], 4 * region);
    for (let pixel = 0, y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, pixel++) {
        const region = labels[pixel];
        const at = 4 * region;
        sizes[region]++;
        if (x < boxes[at]) boxes[at] = x;
        if (y < boxes[at + 1]) boxes[at + 1] = y;
        if (x > boxes[at + 2]) boxes[at + 2] = x;
        boxes[at + 3] = y; // pixels come row by row
      }
    }
    return new Regions({
      sizes,
      boxes,
      colours: histogramsOf(labels, sizes, count, colour),
      textures: histogramsOf(labels, sizes, count, texture),
      colourLength: colour.histograms * colour.count,
      textureLength: texture.histograms * texture.count,
      count,
    });
  }

  copy(): Regions {
    return new Regions({
      ...this,
      sizes: this.sizes.slice(),
      boxes: this.boxes.slice(),
      colours: this.colours.slice(),
      textures: this.textures.slice(),
    });
  }

  /** Adds the merger of two regions, whose histograms are the means of theirs weighted by size; returns its number. */
  merge(a: number, b: number): number {
    const merged = this.count++;
    const [sizeA, sizeB] = [this.sizes[a], this.sizes[b]];
    this.sizes[merged] = sizeA + sizeB;
    for (let i = 0; i < 4; i++) {
      const bound = i < 2 ? Math.min : Math.max;
      this.boxes[4 * merged + i] = bound(this.boxes[4 * a + i], this.boxes[4 * b + i]);
    }
    const share = sizeA / (sizeA + sizeB);
    mix(this.colours, this.colourLength, a, b, merged, share);
    mix(this.textures, this.textureLength, a, b, merged, share);
    return merged;
  }
}

/** For each region its histograms, which add up to 1 together; `sizes` has room for all mergers. */
function histogramsOf(
  labels: Int32Array,
  sizes: Float64Array,
  regions: number,
  { bins, histograms, count }: PixelBins,
): Float64Array {
  const length = histograms * count;
  const result = new Float64Array(sizes.length * length);
  for (let pixel = 0, at = 0; pixel < labels.length; pixel++) {
    let first = labels[pixel] * length;
    for (let histogram = 0; histogram < histograms; histogram++, first += count) result[first + bins[at++]]++;
  }
  for (let region = 0; region < regions; region++) {
    const pixels = sizes[region] * histograms;
    for (let i = region * length; i < (region + 1) * length; i++) result[i] /= pixels;
  }
  return result;
}

function mix(rows: Float64Array, length: number, a: number, b: number, into: number, share: number): void {
  for (let i = 0; i < length; i++) {
    rows[into * length + i] = share * rows[a * length + i] + (1 - share) * rows[b * length + i];
  }
}

/** For each region those that it touches, by a side or a corner of a pixel; in ascending order. */
export function neighboursOf({ width, height, labels, count }: Segmentation): number[][] {
  const pairs = new Set<number>();
  const add = (a: number, b: number): void => {
    if (a !== b) pairs.add(a < b ? a * count + b : b * count + a);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const pixel = y * width + x;
      const label = labels[pixel];
      if (x + 1 < width) add(label, labels[pixel + 1]);
      if (y + 1 === height) continue;
      add(label, labels[pixel + width]);
      if (x > 0) add(label, labels[pixel + width - 1]);
      if (x + 1 < width) add(label, labels[pixel + width + 1]);
    }
  }
  const neighbours: number[][] = Array.from({ length: count }, () => []);
  for (const pair of [...pairs].sort((a, b) => a - b)) {
    const [a, b] = [Math.floor(pair / count), pair % count];
    neighbours[a]!.push(b);
    neighbours[b]!.push(a);
  }
  return neighbours;
}
