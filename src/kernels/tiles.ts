/** Which tile of the matrix-product core a device gets: a pure function of what it offers. */
import type { Tile } from './matmulCore.ts';

/** Enough workgroups for any device to spread; a filter gradient below it splits its long axis. */
const ENOUGH_WORKGROUPS = 32;

/**
 * @param subgroupSize lanes of a subgroup where the device has subgroups of one fixed size, else 0
 * @param m rows of the result
 *
 * 8 lanes are lavapipe's (AVX2), where a load costs as much as twenty multiply-adds: large tiles, but not much higher than
 * the result. A GPU's registers hold 64 sums; SwiftShader, of 4 lanes, does not end compiling larger ones. Without
 * subgroups 8 x 4 keeps the shader small enough to compile quickly on a software adapter.
 */
export function matmulTile(subgroupSize: number, m: number): Tile {
  if (subgroupSize < 4 || subgroupSize > 64) return { rows: 8, columns: 4, lanes: 32, subgroup: false };
  const shared = { lanes: subgroupSize, subgroup: true };
  if (subgroupSize !== 8) return { rows: 16, columns: 4, ...shared };
  return m > 16 ? { rows: 32, columns: 6, ...shared } : { rows: 16, columns: 8, ...shared };
}

/** Parts into which a filter gradient with `tiles` workgroups and `lines` rows of output splits its sum. */
export function filterSplits(tiles: number, lines: number): number {
  return Math.max(1, Math.min(lines, Math.floor(ENOUGH_WORKGROUPS / tiles)));
}
