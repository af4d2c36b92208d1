/**
 * Anchors (paper, section 3.1.1; py-faster-rcnn lib/rpn/generate_anchors.py).
 *
 * The window (0, 0, base-1, base-1) takes each aspect ratio h/w at its own area with sides rounded to whole pixels, then
 * each scale about the same centre. Order: ratio-major, scale-minor. Shifted over the map the index of an anchor is
 * (h * W + w) * A + a.
 */
import { roundHalfEven } from '../kernels/rounding.ts';

export interface AnchorOptions {
  /** Side of the base window in pixels: the stride of the map. */
  baseSize: number;
  /** Side of an anchor in multiples of the base window. */
  scales: readonly number[];
  /** Height over width. */
  ratios: readonly number[];
}

/** [A, 4] as x1, y1, x2, y2 for the map cell (0, 0), 0-based and inclusive. */
export function baseAnchors({ baseSize, scales, ratios }: AnchorOptions): Float32Array {
  const centre = (baseSize - 1) / 2;
  const anchors = ratios.flatMap((ratio) => {
    const w = roundHalfEven(Math.sqrt((baseSize * baseSize) / ratio));
    const h = roundHalfEven(w * ratio);
    return scales.flatMap((scale) => {
      const halfW = (w * scale - 1) / 2;
      const halfH = (h * scale - 1) / 2;
      return [centre - halfW, centre - halfH, centre + halfW, centre + halfH];
    });
  });
  return Float32Array.from(anchors);
}

/**
 * torchvision's anchors around the origin (models/detection/anchor_utils.py): each ratio at the area of each size, the corners
 * rounded to whole pixels, half to even. The same order.
 */
export function centredAnchors(sizes: readonly number[], ratios: readonly number[]): Float32Array {
  const anchors = ratios.flatMap((ratio) =>
    sizes.flatMap((size) => {
      const halfW = roundHalfEven(size / Math.sqrt(ratio) / 2);
      const halfH = roundHalfEven((size * Math.sqrt(ratio)) / 2);
      return [-halfW, -halfH, halfW, halfH];
    }),
  );
  return Float32Array.from(anchors);
}

/** detectron2's anchors around the origin: each size at each ratio, corners as they are. Order: size-major, ratio-minor. */
export function exactAnchors(sizes: readonly number[], ratios: readonly number[]): Float32Array {
  const anchors = sizes.flatMap((size) =>
    ratios.flatMap((ratio) => {
      const w = Math.sqrt((size * size) / ratio);
      const h = ratio * w;
      return [-w / 2, -h / 2, w / 2, h / 2];
    }),
  );
  return Float32Array.from(anchors);
}

/** How a convention makes the anchors around the origin. */
export const anchorsOf = (convention: string): typeof exactAnchors =>
  convention === 'detectron2' ? exactAnchors : centredAnchors;
