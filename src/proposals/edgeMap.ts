/** Edges of a image: how strong at each pixel, and which way they face. */
import { filtered, gaussian, gaussianDerivative, type Planes, squareMeans } from './planes.ts';

export interface EdgeMap {
  width: number;
  height: number;
  /** 0 to 1, row-major. */
  magnitudes: Float32Array;
  /** The direction across the edge, in radians from 0 to pi: 0 for a vertical edge. */
  orientations: Float32Array;
}

/** Sigma of the derivatives: weaker smoothing finds texture, stronger rounds corners and joins neighbouring objects. */
const GRADIENT_SIGMA = 1.5;
/** Half the side of the square in which gradients are compared. */
const CONTRAST_RADIUS = 10;
/** Added to the mean gradient of the window, in levels per pixel: without it the noise of plain areas would be edges. */
const CONTRAST_FLOOR = 6;

/**
 * Edges by the gradient: at each pixel that of the channel where it is largest, divided by its mean in the surroundings plus a
 * constant, so that weak outlines on plain ground count too; thinned to one pixel. No learnt edge detector: figures published for
 * EdgeBoxes are for structured forests.
 */
export function gradientEdges(rgb: Planes): EdgeMap {
  const { width, height } = rgb;
  const [smooth, derivative] = [gaussian(GRADIENT_SIGMA), gaussianDerivative(GRADIENT_SIGMA)];
  const squares = new Float32Array(width * height);
  const orientations = new Float32Array(width * height);
  for (const plane of rgb.channels) {
    const gx = filtered(plane, rgb, derivative, smooth);
    const gy = filtered(plane, rgb, smooth, derivative);
    for (let i = 0; i < squares.length; i++) {
      const square = gx[i] * gx[i] + gy[i] * gy[i];
      if (square <= squares[i]) continue;
      squares[i] = square;
      orientations[i] = halfTurn(Math.atan2(gy[i], gx[i]));
    }
  }
  const gradients = squares.map(Math.sqrt);
  const means = squareMeans(gradients, rgb, CONTRAST_RADIUS);
  const magnitudes = gradients.map((value, i) => Math.min(1, value / (CONTRAST_RATIO * (means[i] + CONTRAST_FLOOR))));
  return thinned({ width, height, magnitudes, orientations });
}

/** What a straight edge alone in its window has of the window's mean gradient: without the floor, its magnitude is 1. */
const CONTRAST_RATIO = (2 * CONTRAST_RADIUS + 1) / (GRADIENT_SIGMA * Math.sqrt(2 * Math.PI));

/** The angle of a line: that of a direction and of the opposite one. */
const halfTurn = (angle: number): number => {
  const half = angle < 0 ? angle + Math.PI : angle;
  return half >= Math.PI ? 0 : half;
};

/** The output of an edge detector. */
export interface MeasuredEdges {
  width: number;
  height: number;
  /** 0 to 1, row-major. */
  magnitudes: Float32Array;
  /** As in `EdgeMap`; if not given, they are taken from the magnitudes. */
  orientations?: Float32Array | undefined;
}

/** Thinned to one pixel; edges that are thin already stay as they are. */
export const edgesFrom = ({ magnitudes, orientations, ...size }: MeasuredEdges): EdgeMap =>
  thinned({ ...size, magnitudes, orientations: orientations ?? orientationsOf(magnitudes, size) });

/** Sigma of the smoothing before orientations are taken from magnitudes. */
const ORIENTATION_SIGMA = 2;

/**
 * The orientations of edges of which only magnitudes are known: the direction in which the smoothed magnitudes curve most, as a
 * ridge does across its line.
 */
export function orientationsOf(magnitudes: Float32Array, size: { width: number; height: number }): Float32Array {
  const [smooth, derivative] = [gaussian(ORIENTATION_SIGMA), gaussianDerivative(ORIENTATION_SIGMA)];
  const gx = filtered(magnitudes, size, derivative, smooth);
  const gy = filtered(magnitudes, size, smooth, derivative);
  const central = Float64Array.of(-0.5, 0, 0.5);
  const identity = Float64Array.of(1);
  const xx = filtered(gx, size, central, identity);
  const xy = filtered(gx, size, identity, central);
  const yy = filtered(gy, size, identity, central);
  // Across a ridge the second derivative is the most negative: the eigenvector of the lesser eigenvalue.
  return xx.map((value, i) => halfTurn(Math.atan2(-2 * xy[i], yy[i] - value) / 2));
}

/** Leaves those pixels that are at least as strong as both neighbours across the edge, interpolated at a distance of one pixel. */
function thinned({ width, height, magnitudes, orientations }: EdgeMap): EdgeMap {
  const at = (x: number, y: number): number => {
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [right, bottom] = [left + 1, top + 1];
    const [fx, fy] = [x - left, y - top];
    const value = (column: number, row: number): number =>
      magnitudes[Math.min(height - 1, Math.max(0, row)) * width + Math.min(width - 1, Math.max(0, column))];
    return (
      (1 - fy) * ((1 - fx) * value(left, top) + fx * value(right, top)) +
      fy * ((1 - fx) * value(left, bottom) + fx * value(right, bottom))
    );
  };
  const thin = new Float32Array(magnitudes.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (magnitudes[i] === 0) continue;
      const [dx, dy] = [Math.cos(orientations[i]), Math.sin(orientations[i])];
      const isRidge = magnitudes[i] >= at(x + dx, y + dy) && magnitudes[i] >= at(x - dx, y - dy);
      if (isRidge) thin[i] = magnitudes[i];
    }
  }
  return { width, height, magnitudes: thin, orientations };
}
