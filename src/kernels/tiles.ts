/** Which tile of the matrix-product core a device gets: a pure function of what it offers. */
import type { Tile } from './matmulCore.ts';

/** Enough workgroups for any device to spread; a filter gradient below it splits its long axis. */
const ENOUGH_WORKGROUPS = 32;

/**
 * @param subgroupSize lanes of a subgroup where the device has subgroups of one fixed size, else 0
 *
 * 16 x 4 with broadcast costs 6 loads for 64 multiply-adds at 8 lanes; without subgroups 8 x 4 keeps the shader small
 * enough to compile quickly on a software adapter.
 */
export function matmulTile(subgroupSize: number): Tile {
  if (subgroupSize >= 4 && subgroupSize <= 64) return { rows: 16, columns: 4, lanes: subgroupSize, subgroup: true };
  return { rows: 8, columns: 4, lanes: 32, subgroup: false };
}

/** Parts into which a filter gradient with `tiles` workgroups and `lines` rows of output splits its sum. */
export function filterSplits(tiles: number, lines: number): number {
  return Math.max(1, Math.min(lines, Math.floor(ENOUGH_WORKGROUPS / tiles)));
}
