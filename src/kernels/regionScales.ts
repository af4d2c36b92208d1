/**
 * The scale of the image at which each region is classified (SPP-net, He et al. 2014, section 4.1; Fast R-CNN's
 * `_project_im_rois`): the one at which its area is nearest to a square, 224 x 224 in both.
 *
 *   rois [R,5] (scale number, x1, y1, x2, y2 in pixels of the first scale), scales [K] (pixels per pixel of the original image)
 *   -> placed [R,5]: scale number, x1, y1, x2, y2 in pixels of that scale
 *
 *   area    of the region in the original image, (x2 - x1) / scales[0] + plusOne along each axis
 *   scale   k for which |area scales[k]^2 - side^2| is least, the first of equals; or, without `byArea`, the one that the region
 *           was found at (dense windows)
 */
import { kernel } from './kernel.ts';

export const regionScales = kernel({
  name: 'region_scales',
  buffers: { rois: 'read', scales: 'read', placed: 'write' },
  uniforms: { roiCount: 'u32', scaleCount: 'u32', byArea: 'u32', side: 'f32', plusOne: 'f32' },
  each: 'roiCount',
  body: /* wgsl */ `
  let r = i * 5u;
  let first = scales[0];
  let size = (vec2f(rois[r + 3u], rois[r + 4u]) - vec2f(rois[r + 1u], rois[r + 2u])) / first + u.plusOne;
  var scale = min(u32(rois[r]), u.scaleCount - 1u);
  if (u.byArea != 0u) {
    scale = 0u;
    var least = abs(size.x * size.y * first * first - u.side * u.side);
    for (var k = 1u; k < u.scaleCount; k++) {
      let difference = abs(size.x * size.y * scales[k] * scales[k] - u.side * u.side);
      if (difference < least) { least = difference; scale = k; }
    }
  }
  placed[r] = f32(scale);
  let factor = scales[scale] / first;
  for (var k = 1u; k < 5u; k++) { placed[r + k] = rois[r + k] * factor; }`,
});

export interface RegionScaleParams {
  roiCount: number;
  byArea: boolean;
  /** Of the square, in pixels. */
  side: number;
  plusOne: number;
}

/** The uniforms of `regionScales` for `scaleCount` scales. */
export const regionScaleUniforms = ({ byArea, ...params }: RegionScaleParams, scaleCount: number) => ({
  ...params,
  scaleCount,
  byArea: Number(byArea),
});

export function regionScalesReference(
  rois: Float64Array,
  scales: readonly number[],
  { roiCount, byArea, side, plusOne }: RegionScaleParams,
): Float64Array {
  const placed = new Float64Array(roiCount * 5);
  for (let r = 0; r < roiCount; r++) {
    const [found, x1, y1, x2, y2] = [...rois.subarray(r * 5, r * 5 + 5)] as [number, number, number, number, number];
    const area = ((x2 - x1) / scales[0]! + plusOne) * ((y2 - y1) / scales[0]! + plusOne);
    const differences = scales.map((scale) => Math.abs(area * scale ** 2 - side ** 2));
    const scale = byArea ? differences.indexOf(Math.min(...differences)) : found;
    placed.set([scale, ...[x1, y1, x2, y2].map((value) => (value * scales[scale]!) / scales[0]!)], r * 5);
  }
  return placed;
}
