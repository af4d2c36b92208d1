/** Operations on regions: RoI pooling, non-maximum suppression. Boxes are x1, y1, x2, y2. */
import { type NmsParams, nmsScratch, recordNms } from '../../kernels/nms.ts';
import { roiPoolBackward, roiPoolForward } from '../../kernels/roiPool.ts';
import type { Bindable } from '../memory.ts';
import { operation, record } from '../autograd.ts';
import { scratch } from '../scratch.ts';
import type { Tensor } from '../tensor.ts';
import { expectShape, expectRank } from './shapes.ts';

export interface RoiPoolOptions {
  /** Bins: P for P x P, or [height, width]. */
  size: number | readonly [number, number];
  /** Map cells per pixel of the image: 1/16 for VGG-16. */
  spatialScale: number;
}

type RoiPoolUniforms = Record<keyof (typeof roiPoolBackward)['uniforms'], number>;
type RoiPoolSaved = { argmax: Tensor; rois: Tensor; x: readonly number[]; uniforms: RoiPoolUniforms };

const roiPoolOperation = operation<RoiPoolSaved>('roiPool', ({ dy }, { argmax, rois, x, uniforms }) => {
  const dx = dy.gpu.empty(x, 'f32', 'dx roiPool');
  dy.gpu.run(roiPoolBackward, { dy, argmax, rois, dx }, uniforms);
  return [dx];
});

/**
 * Max pooling of each region into P x P bins, with Caffe's rounding (Fast R-CNN, section 2.1). The RoIs get no gradient.
 * @param x [N, C, H, W]   @param rois [R, 5]: image index, x1, y1, x2, y2 in input pixels   @returns [R, C, P, P]
 */
export function roiPool(x: Tensor, rois: Tensor, options: RoiPoolOptions): Tensor {
  expectRank('roiPool', 'x', x, 'N,C,H,W');
  expectShape('roiPool', 'rois', rois, [rois.shape[0]!, 5]);
  const [pooledH, pooledW] = typeof options.size === 'number' ? [options.size, options.size] : options.size;
  const [images, channels, height, width] = x.shape as [number, number, number, number];
  const roiCount = rois.shape[0]!;
  const shape = [roiCount, channels, pooledH, pooledW];
  const { gpu } = x;
  const y = gpu.empty(shape, 'f32', 'roiPool');
  const argmax = gpu.empty(shape, 'i32', 'roiPool argmax');
  const uniforms = { images, channels, height, width, roiCount, pooledH, pooledW, scale: options.spatialScale };
  gpu.run(roiPoolForward, { x, rois, y, argmax }, uniforms);
  return record(roiPoolOperation, [x], y, { argmax, rois, x: x.shape, uniforms });
}

export interface NmsOptions {
  iouThreshold: number;
  /** Boxes kept at most; default all. */
  maxOutput?: number;
  /** 1 for inclusive pixel corners (width = x2 - x1 + 1, as py-faster-rcnn), 0 (default) for continuous coordinates. */
  plusOne?: 0 | 1;
}

/**
 * Greedy non-maximum suppression on the GPU: boxes in descending order of score, each suppresses those whose IoU with it
 * exceeds the threshold. Equal scores keep their order.
 * @param boxes [N, 4]   @param scores [N]
 * @returns indices i32 [min(maxOutput, N)] into boxes, of which the first `count` (i32 [1]) are valid
 */
export function nms(boxes: Tensor, scores: Tensor, options: NmsOptions): { indices: Tensor; count: Tensor } {
  const n = scores.size;
  expectShape('nms', 'scores', scores, [n]);
  expectShape('nms', 'boxes', boxes, [n, 4]);
  const { gpu } = boxes;
  const maxOutput = Math.min(options.maxOutput ?? n, n);
  const indices = gpu.empty([maxOutput], 'i32', 'nms indices');
  const count = gpu.tensor(Int32Array.of(0), [1], 'nms count');
  if (n === 0) return { indices, count };
  const params: NmsParams = { n, maxOutput, threshold: options.iouThreshold, plusOne: options.plusOne ?? 0 };
  const working = scratch(gpu, nmsScratch(params));
  recordNms<Bindable>(gpu.run.bind(gpu), { ...working.tensors, boxes, scores, indices, count }, params);
  working.dispose();
  return { indices, count };
}
