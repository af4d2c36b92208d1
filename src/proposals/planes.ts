/** Images as planes of numbers, one for each channel; resizing and smoothing. */
import type { DecodedImage } from '../kernels/imagePrepare.ts';

export interface Planes {
  width: number;
  height: number;
  /** Row-major, `width * height` numbers each; 0 to 255 unless stated otherwise. */
  channels: readonly Float32Array[];
}

/** Red, green and blue. */
export function planesOf({ width, height, rgba }: DecodedImage): Planes {
  const channels = [0, 1, 2].map((channel) => {
    const plane = new Float32Array(width * height);
    for (let i = 0; i < plane.length; i++) plane[i] = rgba[4 * i + channel];
    return plane;
  });
  return { width, height, channels };
}

/**
 * Resized with a triangle filter as wide as a pixel of the smaller of the two images, so that fine patterns do not alias
 * (as MATLAB's imresize and Pillow's BILINEAR do).
 */
export function resized(planes: Planes, width: number, height: number): Planes {
  if (width === planes.width && height === planes.height) return planes;
  const columns = triangleWeights(planes.width, width);
  const rows = triangleWeights(planes.height, height);
  const channels = planes.channels.map((plane) => {
    const narrow = new Float32Array(width * planes.height);
    for (let y = 0; y < planes.height; y++) {
      for (let x = 0; x < width; x++) {
        const { first, weights } = columns[x];
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * plane[y * planes.width + first + i];
        narrow[y * width + x] = sum;
      }
    }
    const result = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      const { first, weights } = rows[y];
      for (let i = 0; i < weights.length; i++) {
        const weight = weights[i];
        for (let x = 0; x < width; x++) result[y * width + x] += weight * narrow[(first + i) * width + x];
      }
    }
    return result;
  });
  return { width, height, channels };
}

/** For each target pixel the source pixels under the filter, and their weights, which add up to 1. */
function triangleWeights(source: number, target: number): { first: number; weights: Float64Array }[] {
  const scale = source / target;
  const radius = Math.max(scale, 1);
  return Array.from({ length: target }, (_, i) => {
    const centre = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(centre - radius));
    const last = Math.min(source - 1, Math.floor(centre + radius));
    const weights = Float64Array.from(
      { length: last - first + 1 },
      (_, k) => 1 - Math.abs(first + k - centre) / radius + 1e-12, // the sum is never 0
    );
    const sum = weights.reduce((a, b) => a + b);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** The Gaussian at whole numbers up to 4 sigma on both sides; its sum is 1. */
export function gaussian(sigma: number): Float64Array {
  const radius = Math.ceil(4 * sigma);
  const kernel = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = kernel.reduce((a, b) => a + b);
  return kernel.map((value) => value / sum);
}

/** The Gaussian's derivative, to be correlated with a row: a ramp of slope 1 gives 1. */
export function gaussianDerivative(sigma: number): Float64Array {
  const smooth = gaussian(sigma);
  const radius = (smooth.length - 1) / 2;
  const kernel = smooth.map((value, i) => (i - radius) * value);
  const slope = kernel.reduce((sum, value, i) => sum + (i - radius) * value, 0);
  return kernel.map((value) => value / slope);
}

/** Correlates the rows with one kernel and the columns with another; beyond the border its pixels are repeated. */
export function filtered(
  plane: Float32Array,
  { width, height }: { width: number; height: number },
  horizontal: Float64Array,
  vertical: Float64Array,
): Float32Array {
  const before = (horizontal.length - 1) / 2;
  const padded = new Float32Array(width + horizontal.length - 1);
  const rows = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = plane.subarray(y * width, (y + 1) * width);
    padded.fill(row[0], 0, before);
    padded.set(row, before);
    padded.fill(row[width - 1], before + width);
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let i = 0; i < horizontal.length; i++) sum += horizontal[i] * padded[x + i];
      rows[y * width + x] = sum;
    }
  }
  const above = (vertical.length - 1) / 2;
  const result = new Float32Array(width * height);
  const sums = new Float64Array(width);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let i = 0; i < vertical.length; i++) {
      const weight = vertical[i];
      const start = Math.min(height - 1, Math.max(0, y + i - above)) * width;
      for (let x = 0; x < width; x++) sums[x] += weight * rows[start + x];
    }
    for (let x = 0; x < width; x++) result[y * width + x] = sums[x];
  }
  return result;
}

export function smoothed(planes: Planes, sigma: number): Planes {
  const kernel = gaussian(sigma);
  return { ...planes, channels: planes.channels.map((plane) => filtered(plane, planes, kernel, kernel)) };
}

/** The mean of the square of 2 radius + 1 pixels around each pixel; beyond the border its pixels are repeated. */
export function squareMeans(
  plane: Float32Array,
  size: { width: number; height: number },
  radius: number,
): Float32Array {
  const transposed = runningMeans(plane, size.width, size.height, radius);
  return runningMeans(transposed, size.height, size.width, radius);
}

/** The means along the rows; transposed. */
function runningMeans(plane: Float32Array, width: number, height: number, radius: number): Float32Array {
  const result = new Float32Array(plane.length);
  const within = (x: number): number => Math.min(width - 1, Math.max(0, x));
  for (let y = 0; y < height; y++) {
    let sum = 0;
    for (let x = -radius - 1; x < radius; x++) sum += plane[y * width + within(x)];
    for (let x = 0; x < width; x++) {
      sum += plane[y * width + within(x + radius)] - plane[y * width + within(x - radius - 1)];
      result[x * height + y] = sum / (2 * radius + 1);
    }
  }
  return result;
}
