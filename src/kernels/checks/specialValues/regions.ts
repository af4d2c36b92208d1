/** Special values of what is computed of regions: pooling, crops, order and scales. */
import { gatherSorted, nmsKeys } from '../../nms.ts';
import { PYRAMID_BINS, pyramidPoolForward, pyramidShape } from '../../pyramidPool.ts';
import { LAST_KEY } from '../../radixSort.ts';
import { regionScales } from '../../regionScales.ts';
import { roiAlignBackward, roiAlignForward, roiAlignRows } from '../../roiAlign.ts';
import { roiCropForward, roiCropUniforms } from '../../roiCrop.ts';
import { roiPoolBackward, roiPoolForward } from '../../roiPool.ts';
import { roiWarpBackwardInput, roiWarpBackwardRois, roiWarpForward } from '../../roiWarp.ts';
import { placeProposals } from '../../scaleProposals.ts';
import type { KernelCheck } from '../check.ts';
import { I, i32, row, u32 } from './row.ts';

const ROI_MAP = { images: 1, firstImage: 0, channels: 1, height: 2, width: 4, roiCount: 1, scale: 1 };
/** Three bins whose one sample each lies half way between two cells, and between both rows of the map. */
const ALIGNED = { images: 1, firstImage: 0, channels: 1, roiCount: 1, pooledH: 1, pooledW: 3, sampling: 1 };
const ALIGNED_LEVEL = { images: 1, level: 0, height: 2, width: 4, scale: 1 };
const ALIGNED_ROI = [0, 0, 0, 3, 1];

export const regionsSpecialValues: readonly (() => KernelCheck)[] = [
  () =>
    row(
      'RoI pooling',
      roiPoolForward,
      { x: [NaN, 1, 1, I, 2, -NaN, -I, 1], rois: [0, 0, 0, 3, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 2 },
      { y: [NaN, I], argmax: i32(5, 3) },
    ),
  () =>
    row(
      'RoI pooling of -infinity',
      roiPoolForward,
      { x: [-I, -I, -I, -I, -I, -I, -I, -I], rois: [0, 1, 0, 3, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 1 },
      { y: [-I], argmax: i32(1) },
    ),
  () =>
    row(
      'pyramid pooling',
      pyramidPoolForward,
      { x: [-I, -I, -I, NaN, -I, -I, -I, 1], rois: [0, 0, 0, 2, 2] },
      pyramidShape(ROI_MAP),
      { y: Array<number>(PYRAMID_BINS).fill(-I), argmax: new Int32Array(PYRAMID_BINS) },
    ),
  () =>
    row(
      'pyramid pooling of NaN',
      pyramidPoolForward,
      { x: [0, 1, I, NaN, 2, 3, 4, 5], rois: [0, 3, 0, 3, 0] },
      pyramidShape(ROI_MAP),
      { y: Array<number>(PYRAMID_BINS).fill(NaN), argmax: new Int32Array(PYRAMID_BINS).fill(3) },
    ),
  () =>
    row(
      'RoIAlign',
      roiAlignForward(1, false),
      { x0: [NaN, 1, 1, I, NaN, 1, 1, I], rois: ALIGNED_ROI },
      { ...ALIGNED, height0: 2, width0: 4, scale0: 1 },
      { y: [NaN, 1, I] },
    ),
  () =>
    row(
      'RoIAlign, the RoIs of each row',
      roiAlignRows(0, false),
      { rois: ALIGNED_ROI },
      { ...ALIGNED_LEVEL, firstImage: 0, roiCount: 1, pooledH: 1, sampling: 1 },
      { rows: u32(1, 0, 1, 0) },
    ),
  () =>
    row(
      'RoIAlign backward',
      roiAlignBackward(0, false),
      { dy: [NaN, I, 1], rois: ALIGNED_ROI, rows: u32(1, 0, 1, 0) },
      { ...ALIGNED, ...ALIGNED_LEVEL },
      { dx: [NaN, NaN, I, 0.25, NaN, NaN, I, 0.25] },
    ),
  () =>
    row(
      'RoI pooling backward',
      roiPoolBackward,
      { dy: [NaN, I, 1], argmax: i32(5, 3, -1), rois: [0, 0, 0, 3, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 3, bands: 1 },
      { dx: [0, 0, 0, I, 0, NaN, 0, 0] },
    ),
  () =>
    // Two pixels for each of the image; outside it there is the mean, whatever the border has.
    row(
      'crops of RoIs',
      roiCropForward,
      { x: [NaN, 1, 3, 2], rois: [0, 0, 0, 1, 1] },
      roiCropUniforms({
        images: 1,
        channels: 1,
        height: 2,
        width: 2,
        roiCount: 1,
        size: 4,
        context: 1,
        plusOne: 1,
      }),
      { y: [0, 0, 0, 0, 0, NaN, 1, 0, 0, 3, 2, 0, 0, 0, 0, 0] },
    ),
  () =>
    row(
      'RoI warping, gradient of the map',
      roiWarpBackwardInput,
      { dy: [NaN, I, 1], rois: [0, 0, 0, 3, 0] },
      { ...ROI_MAP, pooledH: 1, pooledW: 3 },
      { dx: [NaN, I, 1, 0, 0, 0, 0, 0] },
    ),
  () =>
    row(
      'RoI warping, gradient of the RoI',
      roiWarpBackwardRois,
      { dy: [1], x: [0, NaN, 1, 1, 0, NaN, 1, 1], rois: [0, 0.5, 0.5, 1, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 1 },
      { drois: [0, NaN, NaN, NaN, NaN] },
    ),
  () =>
    row(
      'RoI warping',
      roiWarpForward,
      { x: [NaN, 1, 1, 1, 1, 1, 1, 1], rois: [0, 0, 0, 3.5, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 7 },
      { y: [NaN, NaN, 1, 1, 1, 1, 1] },
    ),
  () =>
    row(
      'order of scores',
      nmsKeys,
      { scores: [NaN, I, -I, 0, -0, 1] },
      { n: 6 },
      {
        keys: u32(LAST_KEY, LAST_KEY, LAST_KEY, 0x7fffffff, 0x7fffffff, 0x7fffffff - 0x3f800000),
        order: u32(0, 1, 2, 3, 4, 5),
      },
    ),
  () =>
    row(
      'boxes in the order of scores',
      gatherSorted,
      { keys: u32(0x40000000, LAST_KEY), order: u32(1, 0), boxes: [NaN, NaN, NaN, NaN, 1, 2, 3, I] },
      { n: 2, capacity: 2, slices: 1 },
      { sorted: [1, 2, 3, I, 0, 0, 0, 0], counts: u32(1) },
    ),
  () =>
    row(
      'scale of a region',
      regionScales,
      { rois: [1, 0, NaN, 2, 2, 1, 0, 0, I, 1, 0, 0, 0, 2, 2], scales: [1, 2] },
      { roiCount: 3, scaleCount: 2, byArea: 1, side: 4, plusOne: 0 },
      { placed: [0, 0, NaN, 2, 2, 0, 0, 0, I, 1, 1, 0, 0, 4, 4] },
    ),
  () =>
    row(
      'proposals of a scale',
      placeProposals,
      {
        rois: [0, 1, 2, 3, I, 0, NaN, NaN, NaN, NaN],
        roiScores: [0.5, I],
        roiAnchors: i32(3, -1),
        roiCount: u32(1),
      },
      { capacity: 2, first: 0, scale: 4, factor: 2, imageHeight: 9, imageWidth: 9, plusOne: 1 },
      { boxes: [2, 4, 6, 8, 0, 0, 0, 0], scores: [0.5, NaN], origins: i32(3, 4, -1, 4) },
    ),
];
