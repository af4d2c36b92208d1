/** What RoI pooling and RoI warping share: their shapes, and blocks of channels. */
import { unroll } from './text.ts';

/** Maps [N,C,H,W] of which R regions become [R,C,PH,PW]; `scale` is in cells of the map per pixel of the image. */
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

/** RoiShape as uniforms; `images` is left to the kernels that assign a map's gradient. */
export const ROI_SHAPE = {
  channels: 'u32',
  height: 'u32',
  width: 'u32',
  roiCount: 'u32',
  pooledH: 'u32',
  pooledW: 'u32',
  scale: 'f32',
} as const;

/** Channels that an invocation takes: working out a place costs more than reading it. */
export const CHANNEL_BLOCK = 8;

/** `line` for each channel of a block. */
export const everyChannel = (line: (k: number) => string): string => unroll(CHANNEL_BLOCK, line);
