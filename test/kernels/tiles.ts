/** The tiles of the matrix-product core that the tests force, whatever the device would get by itself. */
import type { MatmulShape } from '../../src/kernels/matmul.ts';
import { matmulShape } from '../../src/kernels/matmul.ts';
import type { Tile } from '../../src/kernels/matmulCore.ts';
import { type Capabilities, type Machine, UNKNOWN_MACHINE } from '../../src/kernels/machine.ts';
import { directTiles, matmulTiles, PORTABLE_TILE } from '../../src/kernels/planner.ts';
import { WORKGROUP_TILES } from '../../src/kernels/workgroupPlans.ts';
import { sharedGpu, skip } from '../harness.ts';

/** The register variant runs everywhere. */
export const REGISTER_TILES: readonly Tile[] = [
  PORTABLE_TILE,
  { variant: 'register', rows: 1, rowWidth: 1, columns: 1, width: 1, lanes: 4 },
  { variant: 'register', rows: 5, rowWidth: 1, columns: 2, width: 1, lanes: 16 },
];

/** So does the smallest tile in workgroup memory, however its factors are fetched. */
export const WORKGROUP_TILE = WORKGROUP_TILES.at(-1)!;

export const device = (subgroupSize: number, software = true, machine: Machine = UNKNOWN_MACHINE): Capabilities => ({
  subgroupSize,
  software,
  maxBindingBytes: 2 ** 27,
  workgroupMemory: 32768,
  workgroupInvocations: 256,
  machine,
});

/** A product whose columns lie four to a vector. */
export const VECTOR_SHAPE: MatmulShape = matmulShape({
  M: 64,
  N: 64,
  K: 8,
  am: 8,
  ak: 1,
  bk: 64,
  bn: 1,
  cm: 64,
  cn: 1,
});

/** The subgroup variant where the device has subgroups of one fixed size; skips the test where it has not. */
export async function subgroupTiles(): Promise<readonly Tile[]> {
  const lanes = (await sharedGpu()).adapter.subgroupSize;
  const [own, ...others] = directTiles(device(lanes), 17, 1000);
  if (own!.variant !== 'subgroup') {
    skip(`this device has no fixed subgroup size between 4 and 64 (${lanes})`);
    return [];
  }
  // rows that are a multiple of the lanes that share them (for up to 16 lanes), fewer, and more but no multiple
  return [
    own!,
    ...others.filter(({ variant }) => variant === 'subgroup'),
    { variant: 'subgroup', rows: 3, rowWidth: 1, columns: 1, width: 1, lanes },
    { variant: 'subgroup', rows: lanes + 3, rowWidth: 1, columns: 1, width: 1, lanes },
  ];
}

/**
 * Tiles in groups of four columns, of every height that a product may get: the register variant, and the subgroup variant where
 * the device has it; those that read four rows at a time too.
 */
export async function vectorTiles(): Promise<readonly Tile[]> {
  const lanes = (await sharedGpu()).adapter.subgroupSize;
  const heights = Array.from({ length: 14 }, (_, i) => 12 + 4 * i);
  const shapes = heights.flatMap((M) => [
    { ...VECTOR_SHAPE, M },
    { ...VECTOR_SHAPE, M, am: 1, ak: M },
  ]);
  const all = [0, lanes].flatMap((size) => shapes.flatMap((shape) => matmulTiles(device(size), shape)));
  return [...new Set(all)].filter((tile): tile is Tile => tile.variant !== 'workgroup');
}
