/**
 * R-CNN's crops (Girshick et al. 2014, appendix A): each region of an image is resampled, with some of its surroundings, to a
 * square of S x S pixels, both axes independently.
 *
 *   x [N,C,H,W] images minus their mean, rois [R,5] (image index, x1, y1, x2, y2 in pixels) -> y [R,C,S,S]
 *
 * The region is dilated about its centre so that in the square exactly `context` pixels on each side lie around it. With
 * pixel i of the image between the edges i and i + 1, pixel p of the square is taken at
 *   e = x1 + (p + 1/2 - context) (x2 - x1 + plusOne) / (S - 2 context)
 * by bilinear interpolation between the centres of pixels, without antialiasing; within half a pixel of the border the border
 * is repeated. Where e < 0 or e > W there is no image, and the square has the mean: 0.
 *
 * The authors' code (rbgirshick/rcnn, rcnn_im_crop.m) rounds the dilated region to whole pixels; here it is exact.
 * RoIs must be finite.
 */
import { kernel } from './kernel.ts';

export const roiCropForward = kernel({
  name: 'roi_crop_forward',
  buffers: { x: 'read', rois: 'read', y: 'write' },
  uniforms: {
    channels: 'u32',
    height: 'u32',
    width: 'u32',
    roiCount: 'u32',
    /** S */
    size: 'u32',
    context: 'f32',
    /** 1 / (S - 2 context) */
    perInner: 'f32',
    plusOne: 'f32',
  },
  each: ['roiCount', 'size', 'size'],
  functions: /* wgsl */ `
// Where a pixel of the square lies along one axis of length n: two pixels, the weight of the second, whether it is in the image.
struct Place { low: u32, high: u32, weight: f32, inside: bool }
fn place(from_px: f32, to_px: f32, p: u32, n: u32) -> Place {
  let edge = from_px + (f32(p) + 0.5 - u.context) * ((to_px - from_px + u.plusOne) * u.perInner);
  let last = f32(n - 1u);
  let c = clamp(edge - 0.5, 0.0, last);
  let low = u32(c);
  return Place(low, min(low + 1u, n - 1u), c - floor(c), edge >= 0.0 && edge <= f32(n));
}
`,
  body: /* wgsl */ `
  let pixels = u.size * u.size;
  let r = i / pixels;
  let pixel = i % pixels;
  let h = place(rois[r * 5u + 2u], rois[r * 5u + 4u], pixel / u.size, u.height);
  let w = place(rois[r * 5u + 1u], rois[r * 5u + 3u], pixel % u.size, u.width);
  let image = u32(rois[r * 5u]) * u.channels;
  for (var c = 0u; c < u.channels; c++) {
    var value = 0.0;
    if (h.inside && w.inside) {
      let base = (image + c) * u.height * u.width;
      let top = mix(x[base + h.low * u.width + w.low], x[base + h.low * u.width + w.high], w.weight);
      let bottom = mix(x[base + h.high * u.width + w.low], x[base + h.high * u.width + w.high], w.weight);
      value = mix(top, bottom, h.weight);
    }
    y[(r * u.channels + c) * pixels + pixel] = value;
  }`,
});

export interface RoiCropShape {
  images: number;
  channels: number;
  height: number;
  width: number;
  roiCount: number;
  /** Pixels along a side of the square. */
  size: number;
  /** Pixels of it on each side that lie around the region; less than half of `size`. */
  context: number;
  /** 1 if the corners include their pixels, 0 if they are edges. */
  plusOne: number;
}

export const roiCropUniforms = ({
  images: _,
  ...shape
}: RoiCropShape): Record<keyof typeof roiCropForward.uniforms, number> => ({
  ...shape,
  perInner: 1 / (shape.size - 2 * shape.context),
});

/** x [N,C,H,W], rois [R,5] -> y [R,C,S,S]. */
export function roiCropReference(x: Float64Array, rois: Float64Array, shape: RoiCropShape): Float64Array {
  const { channels, height, width, roiCount, size, context, plusOne } = shape;
  const y = new Float64Array(roiCount * channels * size * size);
  const edge = (from: number, to: number, p: number): number =>
    from + ((p + 0.5 - context) * (to - from + plusOne)) / (size - 2 * context);
  for (let r = 0; r < roiCount; r++)
    for (let c = 0; c < channels; c++)
      for (let py = 0; py < size; py++)
        for (let px = 0; px < size; px++) {
          const ey = edge(rois[r * 5 + 2]!, rois[r * 5 + 4]!, py);
          const ex = edge(rois[r * 5 + 1]!, rois[r * 5 + 3]!, px);
          if (ey < 0 || ey > height || ex < 0 || ex > width) continue;
          const value = (row: number, column: number): number => {
            const v = Math.min(Math.max(row, 0), height - 1);
            const u = Math.min(Math.max(column, 0), width - 1);
            return x[((rois[r * 5]! * channels + c) * height + v) * width + u]!;
          };
          const [top, left] = [Math.floor(ey - 0.5), Math.floor(ex - 0.5)];
          const [fy, fx] = [ey - 0.5 - top, ex - 0.5 - left];
          y[((r * channels + c) * size + py) * size + px] =
            (1 - fy) * ((1 - fx) * value(top, left) + fx * value(top, left + 1)) +
            fy * ((1 - fx) * value(top + 1, left) + fx * value(top + 1, left + 1));
        }
  return y;
}
