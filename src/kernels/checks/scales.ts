/** Checks of what several scales of an image need: the scale of a region, and the proposals of all scales as one list. */
import { clipBox, boxAt } from '../boxes.ts';
import { type RegionScaleParams, regionScales, regionScalesReference, regionScaleUniforms } from '../regionScales.ts';
import { placeProposals, proposalOrigins } from '../scaleProposals.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, integers, normals, pixelBoxes, unsigned } from './inputs.ts';

/** Of an image whose shorter side has 375 pixels: SPP-net's shorter sides, the second first. */
const SCALES = [576, 480, 688, 864, 1200].map((side) => Math.fround(side / 375));

export function regionScalesCheck(of: Partial<RegionScaleParams>, scaleCount: number): KernelCheck {
  const params: RegionScaleParams = { roiCount: 97, byArea: true, side: 224, plusOne: 1, ...of };
  const rois = pixelBoxes(params.roiCount, 61, 1, 8, 400);
  for (let r = 0; r < params.roiCount; r++) rois[r * 5] = r % scaleCount;
  const scales = SCALES.slice(0, scaleCount);
  const placed = regionScalesReference(doubles(rois), scales, params);
  return {
    name: `region_scales ${params.roiCount} RoIs, ${scaleCount} scales, ${params.byArea ? `side ${params.side}` : 'as found'}, plusOne ${params.plusOne}`,
    kernel: regionScales,
    buffers: { rois, scales: Float32Array.from(scales), placed: new Float32Array(placed.length).fill(7) },
    uniforms: regionScaleUniforms(params, scaleCount),
    expected: { placed },
    atol: 1e-4,
    rtol: 1e-6,
  };
}

/** The second of three scales. */
export function placeProposalsCheck(count: number, plusOne: number): KernelCheck {
  const [capacity, first, scale, factor] = [70, 30, 1, 0.75];
  const rois = pixelBoxes(capacity, 62, 1);
  const roiScores = normals(capacity, 63);
  const roiAnchors = integers(capacity, 64, 0, 1000);
  const n = first + capacity + 20;
  const [boxes, scores] = [new Float64Array(4 * n).fill(7), new Float64Array(n).fill(7)];
  const origins = new Int32Array(2 * n).fill(7);
  for (let i = 0; i < capacity; i++) {
    const box = boxAt(doubles(rois), 5 * i + 1).map((side) => side * factor) as unknown as ReturnType<typeof boxAt>;
    boxes.set(i < count ? clipBox(box, 150, 200, plusOne) : [0, 0, 0, 0], 4 * (first + i));
    scores[first + i] = i < count ? roiScores[i]! : NaN;
    origins.set([roiAnchors[i]!, scale], 2 * (first + i));
  }
  return {
    name: `place_proposals ${count} of ${capacity}, plusOne ${plusOne}`,
    kernel: placeProposals,
    buffers: {
      rois,
      roiScores,
      roiAnchors,
      roiCount: unsigned([count]),
      boxes: new Float32Array(4 * n).fill(7),
      scores: new Float32Array(n).fill(7),
      origins: new Int32Array(2 * n).fill(7),
    },
    uniforms: { capacity, first, scale, factor, imageHeight: 150, imageWidth: 200, plusOne },
    expected: { boxes, scores, origins },
    ...EXACT,
  };
}

export function proposalOriginsCheck(): KernelCheck {
  const [rows, capacity] = [90, 70];
  const origins = integers(2 * rows, 65, 0, 6);
  const roiAnchors = Int32Array.from({ length: capacity }, (_, i) => (i % 9 === 8 ? -1 : (i * 7) % rows));
  const rois = pixelBoxes(capacity, 66, 1);
  const expected = doubles(rois);
  roiAnchors.forEach((row, i) => {
    if (row >= 0) expected[5 * i] = origins[2 * row + 1]!;
  });
  return {
    name: `proposal_origins of ${capacity}`,
    kernel: proposalOrigins,
    buffers: { origins, rois, roiAnchors },
    uniforms: { capacity },
    expected: { rois: expected, roiAnchors: roiAnchors.map((row) => (row < 0 ? -1 : origins[2 * row]!)) },
    ...EXACT,
  };
}
