/** Checks of RoI pooling and RoI warping, forward and backward, and of R-CNN's crops. */
import { Random } from '../rng.ts';
import { pyramidPoolForward, pyramidPoolReference, pyramidShape } from '../pyramidPool.ts';
import { roiCropForward, roiCropReference, type RoiCropShape, roiCropUniforms } from '../roiCrop.ts';
import * as roiPool from '../roiPool.ts';
import { imageOfRoi, type RoiShape } from '../rois.ts';
import * as roiWarp from '../roiWarp.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, integers, normals } from './inputs.ts';

/** The images of all maps: those of the shape's map, and one behind it if there is one before it. */
const imagesOfAll = ({ images, firstImage }: RoiShape): number => firstImage + images + Math.min(firstImage, 1);

/** `values` [R,...] where the RoIs of other maps keep what the buffer held. */
function keptElsewhere(values: Float64Array, held: number, rois: Float32Array, shape: RoiShape): Float64Array {
  const [regions, row] = [doubles(rois), values.length / shape.roiCount];
  return values.map((value, i) => (imageOfRoi(regions, Math.floor(i / row), shape) < 0 ? held : value));
}

/** RoIs with halves to round, malformed ones and ones outside the map. Few different values: ties. */
function roiPoolInputs(shape: RoiShape): { x: Float32Array; rois: Float32Array } {
  const { images, channels, height, width, roiCount, scale } = shape;
  const random = new Random(24);
  const rois = new Float32Array(roiCount * 5);
  for (let r = 0; r < roiCount; r++) {
    const at = (length: number) => Math.round((random.uniform(-0.2, 1.2) * length) / scale / 4) * 4;
    rois.set([random.integer(imagesOfAll(shape)), at(width), at(height), at(width), at(height)], r * 5);
    if (r % 3 > 0) rois.set([rois[r * 5 + 1]! + 8 * r, rois[r * 5 + 2]! + 5 * r], r * 5 + 3);
  }
  return { x: Float32Array.from(integers(images * channels * height * width, 25, -9, 10)), rois };
}

export function roiPoolForwardCheck(shape: RoiShape): KernelCheck {
  const { x, rois } = roiPoolInputs(shape);
  const { y, argmax } = roiPool.roiPoolReference(doubles(x), doubles(rois), shape);
  return {
    name: `roi_pool_forward ${shape.roiCount} RoIs ${shape.channels}x${shape.height}x${shape.width} to ${shape.pooledH}x${shape.pooledW}`,
    kernel: roiPool.roiPoolForward,
    buffers: { x, rois, y: new Float32Array(y.length), argmax: new Int32Array(y.length).fill(-1) },
    uniforms: { ...shape },
    expected: { y, argmax },
    ...EXACT,
  };
}

export function pyramidPoolForwardCheck(of: RoiShape): KernelCheck {
  const shape = pyramidShape(of);
  const { x, rois } = roiPoolInputs(shape);
  const { y, argmax } = pyramidPoolReference(doubles(x), doubles(rois), shape);
  return {
    name: `pyramid_pool_forward ${shape.roiCount} RoIs ${shape.channels}x${shape.height}x${shape.width}`,
    kernel: pyramidPoolForward,
    buffers: { x, rois, y: new Float32Array(y.length), argmax: new Int32Array(y.length).fill(-1) },
    uniforms: { ...shape },
    expected: { y, argmax },
    ...EXACT,
  };
}

export function roiPoolBackwardCheck(shape: RoiShape, bands: number): KernelCheck {
  const { x, rois } = roiPoolInputs(shape);
  const { argmax } = roiPool.roiPoolReference(doubles(x), doubles(rois), shape);
  const dy = normals(argmax.length, 26);
  return {
    name: `roi_pool_backward ${shape.roiCount} RoIs ${shape.channels}x${shape.height}x${shape.width} from ${shape.pooledH}x${shape.pooledW} in ${bands} bands`,
    kernel: roiPool.roiPoolBackward,
    buffers: { dy, argmax, rois, dx: normals(x.length, 27) },
    uniforms: { ...shape, bands },
    expected: { dx: roiPool.roiPoolBackwardReference(doubles(dy), argmax, doubles(rois), shape) },
    atol: 1e-5,
    rtol: 1e-5,
  };
}

/** RoIs on and around the map, with corners that put no sample on a cell's centre or half-way, where derivatives jump. */
function roiWarpInputs(shape: RoiShape): { x: Float32Array; rois: Float32Array } {
  const { images, channels, height, width, roiCount, scale } = shape;
  const random = new Random(28);
  const at = (length: number) => random.uniform(-0.1, 1.1) * (length / scale);
  const rows = Array.from({ length: roiCount }, () => [
    random.integer(imagesOfAll(shape)),
    at(width),
    at(height),
    at(width),
    at(height),
  ]);
  return { x: normals(images * channels * height * width, 29), rois: Float32Array.from(rows.flat()) };
}

const warpName = ({ roiCount, channels, height, width, pooledH, pooledW }: RoiShape) =>
  `${roiCount} RoIs ${channels}x${height}x${width}, ${pooledH}x${pooledW} samples`;

export function roiWarpForwardCheck(shape: RoiShape): KernelCheck {
  const { x, rois } = roiWarpInputs(shape);
  const y = roiWarp.roiWarpReference(doubles(x), doubles(rois), shape);
  return {
    name: `roi_warp_forward ${warpName(shape)}`,
    kernel: roiWarp.roiWarpForward,
    buffers: { x, rois, y: new Float32Array(y.length).fill(7) },
    uniforms: { ...shape },
    expected: { y: keptElsewhere(y, 7, rois, shape) },
    atol: 1e-5,
    rtol: 1e-5,
  };
}

export function roiWarpBackwardChecks(shape: RoiShape): KernelCheck[] {
  const { x, rois } = roiWarpInputs(shape);
  const dy = normals(shape.roiCount * shape.channels * shape.pooledH * shape.pooledW, 30);
  const { dx, drois } = roiWarp.roiWarpBackwardReference(doubles(dy), doubles(x), doubles(rois), shape);
  return [
    {
      name: `roi_warp_backward_input ${warpName(shape)}`,
      kernel: roiWarp.roiWarpBackwardInput,
      buffers: { dy, rois, dx: normals(dx.length, 31) },
      uniforms: { ...shape },
      expected: { dx },
      atol: 2e-5,
      rtol: 1e-5,
    },
    {
      name: `roi_warp_backward_rois ${warpName(shape)}`,
      kernel: roiWarp.roiWarpBackwardRois,
      buffers: { dy, x, rois, drois: new Float32Array(drois.length).fill(5) },
      uniforms: { ...shape },
      expected: { drois: keptElsewhere(drois, 5, rois, shape) },
      atol: 1e-4,
      rtol: 1e-4,
    },
  ];
}

/** Regions inside the image, across its border and beside it; none of their pixels falls on the border itself. */
export function roiCropCheck(shape: RoiCropShape): KernelCheck {
  const { images, channels, height, width, roiCount, size, context } = shape;
  const { x, rois } = roiWarpInputs({ ...shape, firstImage: 0, pooledH: size, pooledW: size, scale: 1 });
  for (let r = 0; r < roiCount; r++) {
    const corners = rois.subarray(5 * r + 1, 5 * r + 5);
    if (r % 4 > 0) corners.set([Math.min(corners[0]!, corners[2]!), Math.min(corners[1]!, corners[3]!)]);
    if (r % 4 > 0) corners.set([corners[0]! + 1 + 2 * r, corners[1]! + 1.3 + r], 2);
  }
  const y = roiCropReference(doubles(x), doubles(rois), shape);
  return {
    name: `roi_crop_forward ${roiCount} RoIs ${images}x${channels}x${height}x${width}, ${size}x${size} pixels, ${context} of context`,
    kernel: roiCropForward,
    buffers: { x, rois, y: new Float32Array(y.length).fill(7) },
    uniforms: roiCropUniforms(shape),
    expected: { y },
    atol: 2e-5,
    rtol: 1e-5,
  };
}
