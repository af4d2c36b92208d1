/**
 * Graph-based segmentation (Felzenszwalb and Huttenlocher 2004, with the authors' rule for small components).
 *
 * Pixels are joined along the edges to their 8 neighbours, in ascending order of w, the Euclidean distance of their colours, if
 *
 *   w <= min(int(a) + k / |a|, int(b) + k / |b|)
 *
 * where int is the largest weight that was joined within a component, 0 for a single pixel. Then components below the minimum
 * size are joined to a neighbour, in the same order of edges.
 */
import type { Planes } from './planes.ts';

export interface Segmentation {
  width: number;
  height: number;
  /** For each pixel its region: 0 to count - 1, in the order of their first pixels. */
  labels: Int32Array;
  count: number;
}

/** The edges of the grid, ascending by weight; equal weights keep the order of the pixels. */
export interface SortedEdges {
  width: number;
  height: number;
  /** The pixel of its upper or left end times 4, plus the direction of the other: right, down-left, down, down-right. */
  codes: Uint32Array;
  weights: Float32Array;
}

const DIRECTIONS = 4;
const directionOffsets = (width: number): Int32Array => Int32Array.of(1, width - 1, width, width + 1);

export function sortedEdges({ width, height, channels }: Planes): SortedEdges {
  const offsets = directionOffsets(width);
  const codes = new Uint32Array(DIRECTIONS * width * height);
  const weights = new Float32Array(codes.length);
  let count = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const pixel = y * width + x;
      for (let direction = 0; direction < DIRECTIONS; direction++) {
        const inside =
          (direction === 0 || y + 1 < height) && (direction === 1 ? x > 0 : direction === 2 || x + 1 < width);
        if (!inside) continue;
        const other = pixel + offsets[direction];
        let squares = 0;
        for (let c = 0; c < channels.length; c++) {
          const difference = channels[c][pixel] - channels[c][other];
          squares += difference * difference;
        }
        codes[count] = DIRECTIONS * pixel + direction;
        weights[count] = Math.sqrt(squares);
        count++;
      }
    }
  }
  return { width, height, ...sortByWeight(codes.subarray(0, count), weights.subarray(0, count)) };
}

const RADIX_BITS = 11;

/** A radix sort: the bits of non-negative floats are in the order of the floats. */
function sortByWeight(codes: Uint32Array, weights: Float32Array): { codes: Uint32Array; weights: Float32Array } {
  const { length } = codes;
  let keys: Uint32Array = new Uint32Array(weights.buffer, weights.byteOffset, length);
  let values = codes;
  let otherKeys: Uint32Array = new Uint32Array(length);
  let otherValues: Uint32Array = new Uint32Array(length);
  const starts = new Uint32Array(1 << RADIX_BITS);
  for (let shift = 0; shift < 32; shift += RADIX_BITS) {
    const mask = starts.length - 1;
    starts.fill(0);
    for (let i = 0; i < length; i++) starts[(keys[i] >>> shift) & mask]++;
    for (let bucket = 0, start = 0; bucket < starts.length; bucket++) {
      const size = starts[bucket];
      starts[bucket] = start;
      start += size;
    }
    for (let i = 0; i < length; i++) {
      const to = starts[(keys[i] >>> shift) & mask]++;
      otherKeys[to] = keys[i];
      otherValues[to] = values[i];
    }
    [keys, otherKeys] = [otherKeys, keys];
    [values, otherValues] = [otherValues, values];
  }
  return { codes: values, weights: new Float32Array(keys.buffer, keys.byteOffset, length) };
}

/** @param k the scale of observation: larger, larger components. @param minSize of a component, in pixels */
export function segment({ width, height, codes, weights }: SortedEdges, k: number, minSize: number): Segmentation {
  const offsets = directionOffsets(width);
  const parents = Int32Array.from({ length: width * height }, (_, pixel) => pixel);
  const sizes = new Int32Array(parents.length).fill(1);
  /** int(component) + k / |component|, at the root. */
  const thresholds = new Float64Array(parents.length).fill(k);
  const root = (pixel: number): number => {
    while (parents[pixel] !== pixel) pixel = parents[pixel] = parents[parents[pixel]];
    return pixel;
  };
  const join = (a: number, b: number): number => {
    const [large, small] = sizes[a] >= sizes[b] ? [a, b] : [b, a];
    parents[small] = large;
    sizes[large] += sizes[small];
    return large;
  };
  /** The edges between two components. Only these can join small ones: the others already lie within one. */
  const between = new Uint32Array(codes.length);
  let betweenCount = 0;
  for (let i = 0; i < codes.length; i++) {
    const pixel = codes[i] >>> 2;
    const other = pixel + offsets[codes[i] & 3];
    if (parents[pixel] === parents[other]) continue;
    const a = root(pixel);
    const b = root(other);
    if (a === b) continue;
    const weight = weights[i];
    if (weight <= thresholds[a] && weight <= thresholds[b]) {
      const joined = join(a, b);
      thresholds[joined] = weight + k / sizes[joined]; // edges ascend, so this one is the largest within
    } else between[betweenCount++] = codes[i];
  }
  for (let i = 0; i < betweenCount; i++) {
    const pixel = between[i] >>> 2;
    const a = root(pixel);
    const b = root(pixel + offsets[between[i] & 3]);
    if (a !== b && (sizes[a] < minSize || sizes[b] < minSize)) join(a, b);
  }
  const labels = new Int32Array(parents.length);
  const numbers = new Int32Array(parents.length).fill(-1);
  let count = 0;
  for (let pixel = 0; pixel < labels.length; pixel++) {
    const component = root(pixel);
    if (numbers[component] < 0) numbers[component] = count++;
    labels[pixel] = numbers[component];
  }
  return { width, height, labels, count };
}
