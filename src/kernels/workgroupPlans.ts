/**
 * Which tiles in workgroup memory a GPU takes, and into how many parts it splits a sum: the cheapest by workgroupCost.ts, unless
 * a tuner has measured. Software adapters compute in registers instead (planner.ts).
 */
import type { ConvShape } from './conv2d.ts';
import { convAccess, type ConvPass, convProduct } from './conv2dWorkgroup.ts';
import type { Capabilities, Machine } from './machine.ts';
import { type MatmulShape, workgroupAccess } from './matmul.ts';
import { pointsOf, type WinogradSize } from './winograd.ts';
import { invocationsOf, workgroupBytes, type WorkgroupTile } from './workgroupCore.ts';
import { type Fetches, DISPATCH_US, type ProductExtents, tileCost } from './workgroupCost.ts';

/** The fewest steps of k for which a part of a split product is worth its own workgroups, and the most parts. */
const PART_STEPS = 128;
const MOST_PARTS = 64;
/** Share of the time that remains, from which more parts are worth the memory that they take. */
const WORTH_SPLITTING = 0.97;
const workgroupTile = (
  rows: number,
  columns: number,
  rowsEach: 4 | 8,
  columnsEach: 4 | 8,
  depth: 8 | 16,
): WorkgroupTile => ({ variant: 'workgroup', rows, columns, rowsEach, columnsEach, depth });

/**
 * The tiles in workgroup memory, made once: kernels are looked up by them. Large ones fetch a value for more results, small ones
 * make more workgroups and waste less of a product's last rows and columns.
 */
export const WORKGROUP_TILES: readonly WorkgroupTile[] = [
  workgroupTile(128, 128, 8, 8, 8),
  workgroupTile(64, 128, 8, 8, 8),
  workgroupTile(128, 64, 8, 8, 8),
  workgroupTile(64, 128, 4, 8, 16),
  workgroupTile(128, 64, 8, 4, 16),
  workgroupTile(64, 64, 4, 8, 8),
  workgroupTile(64, 64, 4, 4, 16),
  workgroupTile(32, 64, 4, 4, 16),
  workgroupTile(16, 64, 4, 4, 16),
];

/** Whether a device can run a tile in workgroup memory. */
export const allowsTile = (device: Capabilities, one: WorkgroupTile, { fetchA, fetchB }: Fetches): boolean =>
  workgroupBytes(one, fetchA, fetchB) <= device.workgroupMemory && invocationsOf(one) <= device.workgroupInvocations;

/** The tiles in workgroup memory that a device can run, the cheapest for a product first; none on a software adapter. */
export const workgroupTiles = (
  device: Capabilities,
  product: ProductExtents,
  access: Fetches,
): readonly WorkgroupTile[] =>
  cheapest(device, access, (one) => tileCost(one, product, access, device.machine).microseconds);

/** The tiles that a device can run, the one of least time first. */
function cheapest(
  device: Capabilities,
  access: Fetches,
  time: (one: WorkgroupTile) => number,
): readonly WorkgroupTile[] {
  if (device.software) return [];
  return WORKGROUP_TILES.filter((one) => allowsTile(device, one, access))
    .map((one) => ({ one, microseconds: time(one) }))
    .filter(({ microseconds }) => microseconds < Infinity)
    .sort((a, b) => a.microseconds - b.microseconds)
    .map(({ one }) => one);
}

/** Microseconds in which a machine reads and writes so many bytes of memory. */
const memoryTime = (bytes: number, machine: Machine): number =>
  bytes / (machine.memoryBytesPerCycle * 1000 * machine.gigahertz);

/** Microseconds of the sum over `parts` of n results. */
const sumTime = (parts: number, n: number, machine: Machine): number =>
  parts === 1 ? 0 : DISPATCH_US + memoryTime(4 * n * (parts + 1), machine);

/** A product's share of k as a slice of a batch of `splits`, whose results lie dense. */
export const splitShape = (shape: MatmulShape, splits: number): MatmulShape => ({
  ...shape,
  K: shape.K / splits,
  az: (shape.ak * shape.K) / splits,
  bz: (shape.bk * shape.K) / splits,
  cz: shape.M * shape.N,
  batch: splits,
});

/**
 * Parts into which a GPU splits the sum over k of a product with few results, so that every core has some: equal ones, so a
 * divisor of K. The results lie dense in rows. Sums of parts round otherwise than one sum: the number of parts changes bits, and
 * is therefore never tuned.
 */
export function productSplits(device: Capabilities, shape: MatmulShape): number {
  const { M, N, K, cm, cn, c0, batch } = shape;
  if (device.software || batch !== 1 || cn !== 1 || cm !== N || c0 !== 0) return 1;
  const { machine } = device;
  const time = (splits: number): number => {
    const part = splitShape(shape, splits);
    const access = workgroupAccess(part);
    const [best] = workgroupTiles(device, part, access);
    if (!best) return splits;
    return tileCost(best, part, access, machine).microseconds + sumTime(splits, M * N, machine);
  };
  let [fewest, least] = [1, time(1)];
  for (let splits = 2; splits <= MOST_PARTS && splits * PART_STEPS <= K; splits++) {
    if (K % splits !== 0) continue;
    const parts = time(splits);
    if (parts < WORTH_SPLITTING * least) [fewest, least] = [splits, parts];
  }
  return fewest;
}

/** The most parts of a filter gradient. */
const FILTER_PARTS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128] as const;

/** The parts into which a filter gradient on a tile splits its lines, and the microseconds that it then takes. */
export function filterParts(
  { machine }: Capabilities,
  tile: WorkgroupTile,
  shape: ConvShape,
): { splits: number; microseconds: number } {
  const { M, N } = convProduct('filter', shape);
  const lines = shape.B * shape.OH;
  const access = convAccess('filter', shape);
  let best = { splits: 1, microseconds: Infinity };
  for (const splits of FILTER_PARTS) {
    if (splits > lines) break;
    const part = { M, N, K: Math.ceil(lines / splits) * shape.OW, batch: splits };
    const microseconds = tileCost(tile, part, access, machine).microseconds + sumTime(splits, M * N, machine);
    if (microseconds < WORTH_SPLITTING * best.microseconds) best = { splits, microseconds };
  }
  return best;
}

/** Microseconds of a direct convolution on a tile. */
export function directTime(device: Capabilities, pass: ConvPass, shape: ConvShape, tile: WorkgroupTile): number {
  if (pass === 'filter') return filterParts(device, tile, shape).microseconds;
  const product = { ...convProduct(pass, shape), batch: 1 };
  const packing = shape.R * shape.S > 1 ? DISPATCH_US : 0;
  return tileCost(tile, product, convAccess(pass, shape), device.machine).microseconds + packing;
}

/** The tiles that compute a direct convolution, the cheapest first. */
export const convTiles = (device: Capabilities, pass: ConvPass, shape: ConvShape): readonly WorkgroupTile[] =>
  cheapest(device, convAccess(pass, shape), (tile) => directTime(device, pass, shape, tile));

/**
 * Microseconds of a 3x3 convolution in Winograd's form: its products, and the transformed maps and filters, each of which is
 * written once and read once.
 */
export function winogradTime(device: Capabilities, pass: ConvPass, shape: ConvShape, size: WinogradSize): number {
  const { B, C, H, W, K, OH, OW } = shape;
  const points = pointsOf(size);
  const [h, w] = pass === 'input' ? [H, W] : [OH, OW];
  const tiles = B * Math.ceil(h / size) * Math.ceil(w / size);
  const extents = { forward: [K, tiles, C], input: [C, tiles, K], filter: [C, K, tiles] }[pass] as [
    number,
    number,
    number,
  ];
  const [M, N, depth] = extents;
  const access = { fetchA: 'vector', fetchB: 'vector' } as const;
  const product = { M, N, K: depth, batch: points };
  const [tile] = workgroupTiles(device, product, access);
  if (!tile) return Infinity;
  const transformed = 4 * points * (tiles * (C + K) + C * K);
  const maps = 4 * B * (C * H * W + K * OH * OW);
  const { microseconds } = tileCost(tile, product, access, device.machine);
  return microseconds + memoryTime(transformed + maps, device.machine) + 3 * DISPATCH_US;
}
