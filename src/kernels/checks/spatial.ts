/** Checks of the operations on maps: pooling, local response normalisation, image preparation. */
import {
  averagePoolBackward,
  averagePoolBackwardReference,
  averagePoolForward,
  averagePoolReference,
} from '../averagePool.ts';
import {
  imagePrepare,
  imagePrepareReference,
  prepareUniforms,
  resizedSize,
  type PrepareSettings,
} from '../imagePrepare.ts';
import {
  lrnBackward,
  lrnBackwardReference,
  lrnForward,
  lrnReference,
  type LrnSettings,
  type LrnShape,
} from '../lrn.ts';
import { maxPoolBackward, maxPoolBackwardReference, maxPoolForward, maxPoolReference } from '../maxPool.ts';
import {
  subsample,
  subsampleBackward,
  subsampleBackwardReference,
  subsampleReference,
  type SubsampleShape,
} from '../subsample.ts';
import { type PoolShape, poolUniforms, type PoolWindow } from '../pooling.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, integers, normals } from './inputs.ts';

const poolName = ({ planes, h, w }: PoolShape, { kernel, stride, padding, ceilMode }: PoolWindow) =>
  `${planes}x${h}x${w} kernel ${kernel} stride ${stride} padding ${padding} ${ceilMode ? 'ceil' : 'floor'}`;

/** Few different values, as after a ReLU: ties, which the first cell must win. */
const poolInput = ({ planes, h, w }: PoolShape) => Float32Array.from(integers(planes * h * w, 1, -3, 4));

export function maxPoolForwardCheck(shape: PoolShape, window: PoolWindow): KernelCheck {
  const x = poolInput(shape);
  const { y, argmax } = maxPoolReference(doubles(x), shape, window);
  return {
    name: `max_pool_forward ${poolName(shape, window)}`,
    kernel: maxPoolForward(window),
    buffers: { x, y: new Float32Array(y.length), argmax: new Int32Array(y.length) },
    uniforms: poolUniforms(shape, window),
    expected: { y, argmax },
    atol: 0,
    rtol: 0,
  };
}

export function maxPoolBackwardCheck(shape: PoolShape, window: PoolWindow): KernelCheck {
  const { y, argmax } = maxPoolReference(doubles(poolInput(shape)), shape, window);
  const dy = normals(y.length, 2);
  return {
    name: `max_pool_backward ${poolName(shape, window)}`,
    kernel: maxPoolBackward(window),
    buffers: { dy, argmax, dx: normals(shape.planes * shape.h * shape.w, 3) },
    uniforms: poolUniforms(shape, window),
    expected: { dx: maxPoolBackwardReference(doubles(dy), argmax, shape) },
    atol: 2e-6,
    rtol: 1e-6,
  };
}

const AVERAGED = { atol: 2e-6, rtol: 1e-6 };

export function averagePoolForwardCheck(shape: PoolShape, window: PoolWindow): KernelCheck {
  const x = normals(shape.planes * shape.h * shape.w, 1);
  const y = averagePoolReference(doubles(x), shape, window);
  return {
    name: `average_pool_forward ${poolName(shape, window)}`,
    kernel: averagePoolForward(window),
    buffers: { x, y: new Float32Array(y.length) },
    uniforms: poolUniforms(shape, window),
    expected: { y },
    ...AVERAGED,
  };
}

export function averagePoolBackwardCheck(shape: PoolShape, window: PoolWindow): KernelCheck {
  const uniforms = poolUniforms(shape, window);
  const dy = normals(shape.planes * uniforms.outH * uniforms.outW, 1);
  return {
    name: `average_pool_backward ${poolName(shape, window)}`,
    kernel: averagePoolBackward(window),
    buffers: { dy, dx: normals(shape.planes * shape.h * shape.w, 2) },
    uniforms,
    expected: { dx: averagePoolBackwardReference(doubles(dy), shape, window) },
    ...AVERAGED,
  };
}

const lrnName = ({ images, channels, h, w }: LrnShape, { size }: LrnSettings) =>
  `${images}x${channels}x${h}x${w} size ${size}`;
const lrnUniforms = ({ size, alpha, beta, k }: LrnSettings) => ({ size, alpha, beta, k });
/** Activations large enough that the windows matter. */
const lrnInput = ({ images, channels, h, w }: LrnShape) => normals(images * channels * h * w, 1, 30);
/** WGSL's pow is exp2(y log2(x)): a relative error of some 1e-6. */
const LRN_TOLERANCE = { atol: 1e-5, rtol: 3e-5 };

export function lrnForwardCheck(shape: LrnShape, settings: LrnSettings): KernelCheck {
  const x = lrnInput(shape);
  const kernel = lrnForward(settings.mode);
  return {
    name: `${kernel.name} ${lrnName(shape, settings)}`,
    kernel,
    buffers: { x, y: new Float32Array(x.length), scale: new Float32Array(x.length) },
    uniforms: { ...shape, ...lrnUniforms(settings) },
    expected: { ...lrnReference(doubles(x), shape, settings) },
    ...LRN_TOLERANCE,
  };
}

export function lrnBackwardCheck(shape: LrnShape, settings: LrnSettings): KernelCheck {
  const x = lrnInput(shape);
  const { y, scale } = lrnReference(doubles(x), shape, settings);
  const dy = normals(x.length, 2);
  const kernel = lrnBackward(settings.mode);
  return {
    name: `${kernel.name} ${lrnName(shape, settings)}`,
    kernel,
    buffers: { x, y: Float32Array.from(y), scale: Float32Array.from(scale), dy, dx: normals(x.length, 3) },
    uniforms: { ...shape, ...lrnUniforms(settings) },
    expected: { dx: lrnBackwardReference(doubles(x), doubles(dy), shape, settings) },
    ...LRN_TOLERANCE,
  };
}

/**
 * An h x w image resized so that its sides are `shorter` and at most `longer`. Source coordinates in f32 are off by up to
 * 1e-7 of the image's side, times a step of 255 between neighbouring pixels.
 */
export function imagePrepareCheck(
  h: number,
  w: number,
  shorter: number,
  longer: number,
  { flip, bgr }: { flip: boolean; bgr: boolean },
): KernelCheck {
  const image = Uint32Array.from(integers(h * w, 1, -(2 ** 31), 2 ** 31 - 1));
  const { height, width, scale } = resizedSize(h, w, shorter, longer);
  const settings: PrepareSettings = {
    h,
    w,
    outH: height,
    outW: width,
    srcPerDstY: 1 / scale,
    srcPerDstX: 1 / scale,
    flip,
    bgr,
    mean: [102.9801, 115.9465, 122.7717],
    factor: [1, 0.5, 0.25],
  };
  return {
    name: `image_prepare ${h}x${w} to ${height}x${width}${flip ? ' flip' : ''}${bgr ? ' bgr' : ''}`,
    kernel: imagePrepare,
    buffers: { image, y: new Float32Array(3 * height * width) },
    uniforms: prepareUniforms(settings),
    expected: { y: imagePrepareReference(image, settings) },
    atol: 2e-4 + 5e-5 * Math.max(h, w),
    rtol: 1e-6,
  };
}

const subsampleName = ({ planes, h, w, stride }: SubsampleShape) => `${planes}x${h}x${w} stride ${stride}`;

export function subsampleCheck(shape: SubsampleShape): KernelCheck {
  const x = normals(shape.planes * shape.h * shape.w, 1);
  const y = subsampleReference(doubles(x), shape);
  return {
    name: `subsample ${subsampleName(shape)}`,
    kernel: subsample,
    buffers: { x, y: new Float32Array(y.length) },
    uniforms: shape,
    expected: { y },
    ...EXACT,
  };
}

export function subsampleBackwardCheck(shape: SubsampleShape, add: boolean): KernelCheck {
  const dy = normals(shape.planes * shape.outH * shape.outW, 1);
  const dx = normals(shape.planes * shape.h * shape.w, 2);
  return {
    name: `subsample_backward${add ? '_add' : ''} ${subsampleName(shape)}`,
    kernel: subsampleBackward(add),
    buffers: { dy, dx },
    uniforms: shape,
    expected: { dx: subsampleBackwardReference(doubles(dy), doubles(dx), shape, add) },
    atol: 1e-6,
    rtol: 1e-6,
  };
}
