/** The tiles of the matrix-product core that the tests force, whatever the device would get by itself. */
import type { Tile } from '../../src/kernels/matmulCore.ts';
import { matmulTile } from '../../src/kernels/tiles.ts';
import { sharedGpu, skip } from '../harness.ts';

/** The register variant runs everywhere. */
export const REGISTER_TILES: readonly Tile[] = [
  matmulTile(0, 17),
  { rows: 1, columns: 1, lanes: 4, subgroup: false },
  { rows: 5, columns: 2, lanes: 16, subgroup: false },
];

/** The subgroup variant where the device has subgroups of one fixed size; skips the test where it has not. */
export async function subgroupTiles(): Promise<readonly Tile[]> {
  const lanes = (await sharedGpu()).adapter.subgroupSize;
  if (!matmulTile(lanes, 17).subgroup) {
    skip(`this device has no fixed subgroup size between 4 and 64 (${lanes})`);
    return [];
  }
  // rows that are a multiple of the lanes that share them (for up to 16 lanes), fewer, and more but no multiple
  return [
    matmulTile(lanes, 16),
    matmulTile(lanes, 17),
    { rows: 3, columns: 1, lanes, subgroup: true },
    { rows: lanes + 3, columns: 1, lanes, subgroup: true },
  ];
}
