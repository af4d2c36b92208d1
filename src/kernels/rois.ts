/** What the kernels of RoIs share: their shapes, blocks of channels, the maximum of a bin. An RoI is a region of the image. */
import { unroll } from './text.ts';

/**
 * R RoIs of maps [N,C,H,W] become [R,C,PH,PW]; `scale` is in cells of the map per pixel of the image. Only RoIs of images
 * `firstImage` to `firstImage + images - 1` lie in the map: the rows of the others are left to the maps that have them.
 */
export interface RoiShape {
  images: number;
  firstImage: number;
  channels: number;
  height: number;
  width: number;
  roiCount: number;
  pooledH: number;
  pooledW: number;
  scale: number;
}

/** RoiShape as uniforms. */
export const ROI_SHAPE = {
  images: 'u32',
  firstImage: 'u32',
  channels: 'u32',
  height: 'u32',
  width: 'u32',
  roiCount: 'u32',
  pooledH: 'u32',
  pooledW: 'u32',
  scale: 'f32',
} as const;

/** `image_of(r)`: the image of RoI r in the map, which has no such image if the number is `u.images` or more. */
export const ROI_IMAGE_WGSL = /* wgsl */ `
fn image_of(r: u32) -> u32 { return u32(rois[r * 5u]) - u.firstImage; }
`;

/** The image of RoI `r` in the map, -1 where it lies in another map; for the references. */
export function imageOfRoi(
  rois: Float64Array,
  r: number,
  { images, firstImage }: Pick<RoiShape, 'images' | 'firstImage'>,
): number {
  const image = rois[r * 5]! - firstImage;
  return image >= 0 && image < images ? image : -1;
}

/** Channels per invocation: computing a place costs more than reading it. */
export const CHANNEL_BLOCK = 8;

/** `line` for each channel of a block. */
export const everyChannel = (line: (k: number) => string): string => unroll(CHANNEL_BLOCK, line);

/**
 * For each channel of a block the largest value of the cells from `start` to before `end` of its plane, and the cell: largest0,
 * where0 and so on; of cell `first` where there is no cell between. Of several NaNs the last one is the maximum, as in PyTorch.
 * Given are also `size` of the map, `plane` cells of a channel, `base` of the first one in x, and IEEE_WGSL.
 */
export const LARGEST_OF_BIN_WGSL = /* wgsl */ `
${everyChannel((k) => `  var largest${k} = x[base + ${k}u * plane + u32(first)]; var where${k} = first;`)}
  var bits = 0u;
  for (var h = start.y; h < end.y; h++) {
    for (var w = start.x; w < end.x; w++) {
      let at = h * size.x + w;
${everyChannel(
  (k) => `      {
        let value = x[base + ${k}u * plane + u32(at)];
        if (value > largest${k}) { largest${k} = value; where${k} = at; }
        bits = max(bits, bitcast<u32>(value) & 0x7fffffffu);
      }`,
)}
    }
  }
  if (bits > 0x7f800000u) { // beyond infinity: some channel has a NaN
    for (var h = start.y; h < end.y; h++) {
      for (var w = start.x; w < end.x; w++) {
        let at = h * size.x + w;
${everyChannel(
  (k) => `        {
          let value = x[base + ${k}u * plane + u32(at)];
          if (is_nan(value)) { largest${k} = value; where${k} = at; }
        }`,
)}
      }
    }
  }`;

/** The cell (w, h) of a map, the first channel of a block, its image, and the channels of the block, where each is an item. */
export const CELL_BLOCK_WGSL = /* wgsl */ `
  let cells = u.height * u.width;
  let blocks = (u.channels + ${CHANNEL_BLOCK - 1}u) / ${CHANNEL_BLOCK}u;
  let w = i % u.width;
  let h = (i / u.width) % u.height;
  let channel = ((i / cells) % blocks) * ${CHANNEL_BLOCK}u;
  let image = i / (cells * blocks);
  let count = min(${CHANNEL_BLOCK}u, u.channels - channel);`;
