/** What RoI pooling and RoI warping share: their shapes, and blocks of channels. An RoI is a region of the image. */
import { unroll } from './text.ts';

/** R RoIs of maps [N,C,H,W] become [R,C,PH,PW]; `scale` is in cells of the map per pixel of the image. */
export interface RoiShape {
  images: number;
  channels: number;
  height: number;
  width: number;
  roiCount: number;
  pooledH: number;
  pooledW: number;
  scale: number;
}

/** RoiShape as uniforms, without `images`: only the kernels that assign a map's gradient need it. */
export const ROI_SHAPE = {
  channels: 'u32',
  height: 'u32',
  width: 'u32',
  roiCount: 'u32',
  pooledH: 'u32',
  pooledW: 'u32',
  scale: 'f32',
} as const;

/** Channels per invocation: computing a place costs more than reading it. */
export const CHANNEL_BLOCK = 8;

/** `line` for each channel of a block. */
export const everyChannel = (line: (k: number) => string): string => unroll(CHANNEL_BLOCK, line);
