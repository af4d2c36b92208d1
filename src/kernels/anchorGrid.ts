/**
 * The anchors of a map: A base anchors [A,4] at each cell of an H x W grid, `stride` pixels apart. They are numbered in two
 * orders: that of the RPN's maps, j = (a*H + h)*W + w, and that of proposals, i = (h*W + w)*A + a, all anchors of a cell
 * together.
 */
import { boxAt, type Box } from './boxes.ts';
import { DIVIDE_WGSL } from './divide.ts';

export interface AnchorGrid {
  /** A: base anchors. */
  anchorCount: number;
  height: number;
  width: number;
  /** Pixels of the image per cell. */
  stride: number;
}

/** AnchorGrid as uniforms. */
export const ANCHOR_GRID = { anchorCount: 'u32', height: 'u32', width: 'u32', stride: 'f32' } as const;

/** `anchor_in_maps(j)` and `anchor_of_proposal(i)`, for shaders with the buffer `anchors` and the uniforms ANCHOR_GRID. */
export const ANCHOR_WGSL = /* wgsl */ `${DIVIDE_WGSL}
struct Anchor { box: vec4f, number: u32, cell: u32 }
fn anchor_at(number: u32, cell: u32) -> Anchor {
  let row = divide(cell, u.width);
  let shift = vec2f(f32(cell - row * u.width), f32(row)) * u.stride;
  return Anchor(anchors[number] + vec4f(shift, shift), number, cell);
}
fn anchor_in_maps(j: u32) -> Anchor {
  let cells = u.height * u.width;
  let number = divide(j, cells);
  return anchor_at(number, j - number * cells);
}
fn anchor_of_proposal(i: u32) -> Anchor {
  let cell = divide(i, u.anchorCount);
  return anchor_at(i - cell * u.anchorCount, cell);
}
`;

/** The box of anchor j, in the order of the maps. */
export function anchorAt(anchors: Float64Array, j: number, { height, width, stride }: AnchorGrid): Box {
  const cell = j % (height * width);
  const x = (cell % width) * stride;
  const y = Math.floor(cell / width) * stride;
  const base = boxAt(anchors, Math.floor(j / (height * width)) * 4);
  return [base[0] + x, base[1] + y, base[2] + x, base[3] + y];
}
