/**
 * Which kernel computes a matrix product or a convolution: pure functions of the shape and of what the device offers,
 * testable without one. Each returns its candidates, its own choice first; a tuner may time the others (engine/tuner.ts).
 *
 * What decides (docs/performance.md has the measurements):
 *   - Software adapters pay for loads, 25 multiply-adds or more each, and nothing for a broadcast from a register: large
 *     tiles of the subgroup variant, four columns to a load. SwiftShader (4 lanes) never finishes compiling large ones.
 *   - GPUs take tiles in workgroup memory, in the order that workgroupCost.ts works out for the machine.
 *   - A 3x3 convolution of stride 1 costs 4 times fewer multiplications in Winograd's F(4x4, 3x3), whose transforms pay
 *     from 16 to 32 channels and filters on.
 */
import type { ChannelView } from './channelView.ts';
import type { ConvShape } from './conv2d.ts';
import type { ConvPass } from './conv2dWorkgroup.ts';
import type { Capabilities } from './machine.ts';
import {
  allowsPaddedVectors,
  allowsRowVectors,
  allowsVectors,
  type MatmulShape,
  type MatmulTile,
  workgroupAccess,
} from './matmul.ts';
import { loadsOfA, type Tile } from './matmulCore.ts';
import type { StageVariant } from './sequence.ts';
import { pointsOf, type WinogradSize } from './winograd.ts';
import type { WorkgroupTile } from './workgroupCore.ts';
import { convTiles, directTime, winogradTime, workgroupTiles } from './workgroupPlans.ts';

export type ConvPlan =
  /** An implicit im2col: any filter, stride and padding. */
  | { readonly algorithm: 'direct'; readonly tile: Tile | WorkgroupTile }
  /**
   * A 1x1 convolution without padding: a product of matrices as they lie in memory; with a stride, of the cells that it reads,
   * copied side by side first.
   */
  | { readonly algorithm: 'pointwise' }
  /** A product of the filters and the patches of the map, which are copied into the columns of a matrix (im2col). */
  | { readonly algorithm: 'patches' }
  | { readonly algorithm: 'winograd'; readonly size: WinogradSize };

/**
 * Workgroups of one subgroup that occupy a device; a filter gradient below it splits its long axis. The number for GPUs is
 * an estimate from their cores, not a measurement.
 */
const enoughWorkgroups = ({ software }: Capabilities): number => (software ? 32 : 512);
/** Channels and filters below which the transforms of Winograd's form cost a software adapter more than they save. */
const WINOGRAD_CHANNELS: Readonly<Record<ConvPass, number>> = { forward: 16, input: 16, filter: 32 };

const tile = (
  variant: Tile['variant'],
  rows: number,
  columns: number,
  width: 1 | 4,
  lanes: number,
  rowWidth: 1 | 4 = 1,
): Tile => ({ variant, rows, rowWidth, columns, width, lanes });

/** Tiles for one subgroup size, made once: kernels are looked up by them. */
interface TileSet {
  /** By whether columns, and rows, are read four at a time. */
  both: readonly Tile[];
  vectors: readonly Tile[];
  scalars: readonly Tile[];
}

const sets = new Map<number, TileSet>();

function tileSet(subgroupSize: number): TileSet {
  const lanes = subgroupSize >= 4 && subgroupSize <= 64 ? subgroupSize : 0;
  let set = sets.get(lanes);
  if (!set) sets.set(lanes, (set = makeTileSet(lanes)));
  return set;
}

/** Rows of lavapipe's tiles: a product of any height wastes little of its last. */
const ROWS = Array.from({ length: 13 }, (_, i) => 16 + 4 * i);

function makeTileSet(lanes: number): TileSet {
  // Without subgroups 8 x 4 keeps the shader small enough to compile quickly on a software adapter. A GPU's registers hold
  // 64 sums, and its lanes need no more than a row each.
  if (lanes !== 8) {
    const [variant, rows, size] = lanes === 0 ? (['register', 8, 32] as const) : (['subgroup', 16, lanes] as const);
    const vectors = [tile(variant, rows, 1, 4, size)];
    return { both: vectors, vectors, scalars: [tile(variant, rows, 4, 1, size)] };
  }
  return {
    both: ROWS.map((rows) => tile('subgroup', rows, 2, 4, 8, 4)),
    vectors: ROWS.map((rows) => tile('subgroup', rows, 2, 4, 8)),
    scalars: [4, 8, 12, ...ROWS].map((rows) => tile('subgroup', rows, rows > 20 ? 6 : 8, 1, 8)),
  };
}

/** Tiles in workgroup memory among a GPU's candidates: a tuner compiles and times each. */
const FEW_TILES = 3;
/** The same for a convolution, whose candidates are other algorithms too. */
const FEW_CONV_TILES = 2;

/** Multiply-adds of eight lanes that take as long as a load by them of one value each, and of four; measured on lavapipe. */
const LOAD_COST = { 1: 25, 4: 62 } as const;
/** Workgroups below which some cores of a device wait for others. */
const EVEN_WORKGROUPS = 8;

/** About what m x n results of `batch` products cost with a tile, for each step of k. */
function cost(tile: Tile, m: number, n: number, batch: number): number {
  const { rows, rowWidth, columns, width, lanes } = tile;
  const step = loadsOfA(tile) * LOAD_COST[rowWidth] + columns * LOAD_COST[width] + rows * columns * width;
  const workgroups = Math.ceil(m / rows) * Math.ceil(n / (lanes * columns * width)) * batch;
  return step * Math.ceil(workgroups / EVEN_WORKGROUPS) * EVEN_WORKGROUPS;
}

/** The tile of least cost: a tall one shares its loads, a short one wastes less in its last row of tiles. */
const fitting = (tiles: readonly Tile[], m: number, n: number, batch: number): Tile =>
  tiles.reduce((best, next) => (cost(next, m, n, batch) < cost(best, m, n, batch) ? next : best));

/** Without subgroups and vectors: the tile that every device can run. */
export const PORTABLE_TILE: Tile = tileSet(0).scalars[0]!;

/** Candidates for the core's own operations, m x n results in up to `splits` parts, which read element by element. */
export const directTiles = ({ subgroupSize }: Capabilities, m: number, n: number, splits = 1): readonly Tile[] => {
  const { scalars } = tileSet(subgroupSize);
  return withFirst(fitting(scalars, m, n, splits), [...typical(scalars), PORTABLE_TILE]);
};

/** The few that a tuner times besides the first choice. */
const typical = (tiles: readonly Tile[]): readonly Tile[] =>
  tiles.length < 4 ? tiles : tiles.filter(({ rows }) => [16, 32, 64].includes(rows));

const tilesOf = ({ subgroupSize, software }: Capabilities, shape: MatmulShape): readonly Tile[] => {
  const { both, vectors, scalars } = tileSet(subgroupSize);
  if (!(software ? allowsPaddedVectors(shape) : allowsVectors(shape))) return scalars;
  return allowsRowVectors(shape) ? both : vectors;
};

/** Candidates for a product of matrices in memory. All of them add in the same order, so the choice does not change any bits. */
export function matmulTiles(device: Capabilities, shape: MatmulShape): readonly MatmulTile[] {
  const tiles = tilesOf(device, shape);
  const best = fitting(tiles, shape.M, shape.N, shape.batch);
  const few = typical(tiles);
  if (device.software) return withFirst<MatmulTile>(best, few);
  return [...workgroupTiles(device, shape, workgroupAccess(shape)).slice(0, FEW_TILES), ...few];
}

const withFirst = <T>(first: T, all: readonly T[]): T[] => [first, ...all.filter((other) => other !== first)];

/**
 * Whether a product costs less as its transpose, with a and b exchanged. It can on a software adapter: the 100 tiles of a small
 * map, say, fill tiles of 64 columns badly, but as rows they fill tiles of a suitable height well.
 */
export function turnsProduct(device: Capabilities, shape: MatmulShape, turned: MatmulShape): boolean {
  const least = (one: MatmulShape): number => {
    const tiles = tilesOf(device, one);
    return cost(fitting(tiles, one.M, one.N, one.batch), one.M, one.N, one.batch);
  };
  return device.software && least(turned) < least(shape);
}

/** Candidates for a convolution; the tiles of the products in them are chosen by `matmulTiles`. */
export function convPlans(device: Capabilities, direction: ConvPass, shape: ConvShape): readonly ConvPlan[] {
  const { B, C, K, H, W, R, S, OH, OW, stride, pad } = shape;
  const results: Readonly<Record<ConvPass, readonly [m: number, n: number, splits?: number]>> = {
    forward: [K, B * OH * OW],
    input: [C, B * H * W],
    filter: [K, C * R * S, enoughWorkgroups(device)],
  };
  const tiles = [
    ...convTiles(device, direction, shape).slice(0, FEW_CONV_TILES),
    ...directTiles(device, ...results[direction]),
  ];
  const direct: ConvPlan[] = tiles.map((tile) => ({ algorithm: 'direct', tile }));
  const copied = direction === 'forward' && copiesPatches(device, shape);
  if (R === 1 && S === 1 && pad === 0 && (stride === 1 || (device.software && direction !== 'filter'))) {
    // For one image, a filter gradient is a product along the pixels; on a software adapter the direct sum is faster.
    const product = direction !== 'filter' || (B === 1 && !device.software);
    const pointwise: ConvPlan[] = product ? [{ algorithm: 'pointwise' }] : [];
    return copied ? [{ algorithm: 'patches' }, ...pointwise, ...direct] : [...pointwise, ...direct];
  }
  // The input gradient is a convolution with padding 2 - pad.
  // Without images there are no tiles to sum a filter gradient over.
  if (R !== 3 || S !== 3 || stride !== 1 || pad > 2 || B === 0) {
    return copied ? [{ algorithm: 'patches' }, ...direct] : direct;
  }
  const winograd: ConvPlan[] = ([4, 2] as const)
    .filter((size) => 4 * pointsOf(size) * K * C <= device.maxBindingBytes)
    .map((size) => ({ algorithm: 'winograd', size }));
  const [fastest] = tiles;
  const wide =
    fastest?.variant === 'workgroup'
      ? winogradTime(device, direction, shape, 4) < directTime(device, direction, shape, fastest)
      : Math.min(C, K) >= WINOGRAD_CHANNELS[direction];
  return wide ? [...winograd, ...direct] : [...direct, ...winograd];
}

/** Filters, and terms of a sum for each, from which copying the patches of a map costs less than it saves; measured on lavapipe. */
const PATCHES = { filters: 192, terms: 48 } as const;
/** The same where the map has to be copied for a product to read four cells at a time, terms and filters alike. */
const COPIED_CELLS = 48;

/**
 * Whether a software adapter copies the patches of an image for a product: it reads them, and the filters, four numbers at a time,
 * the direct sum one at a time. A 1x1 convolution reads the map itself, if its rows are a multiple of four long.
 */
function copiesPatches({ software }: Capabilities, { B, C, K, R, S, OH, OW }: ConvShape): boolean {
  const cells = OH * OW;
  if (!software || B !== 1 || cells < 64) return false;
  if (R * S > 1) return K >= PATCHES.filters && C * R * S >= PATCHES.terms;
  return cells % 4 !== 0 && Math.min(K, C) >= COPIED_CELLS;
}

/** Columns of lavapipe's tiles. */
const PATCH_TILE = 64;

/** Positions of a band of patches of `terms` numbers: whole tiles of columns, or all, and then a multiple of four. */
export function patchesBand(terms: number, cells: number): number {
  const tiles = Math.ceil(cells / PATCH_TILE);
  const most = Math.max(1, Math.floor(BAND_BYTES / (4 * terms * PATCH_TILE)));
  const bands = Math.ceil(tiles / most);
  return Math.min(4 * Math.ceil(cells / 4), PATCH_TILE * Math.ceil(tiles / bands));
}

/** Bytes of the transformed maps of one band of tiles, unless a single tile takes more: they should stay in a cache. */
const BAND_BYTES = 32 * 1024 * 1024;

/** Tiles of a band, a multiple of four, so that bands are equal and few. `channels`: of the wider map. */
export function winogradBand(size: WinogradSize, channels: number, tiles: number): number {
  const most = Math.max(4, Math.floor(BAND_BYTES / (4 * pointsOf(size) * channels)));
  const bands = Math.ceil(tiles / most);
  return Math.ceil(tiles / bands / 4) * 4;
}

/** The largest transformed map, in bytes, that is kept from the forward pass for the filter gradient. */
const KEPT_BYTES = 1024 * 1024;

/**
 * Whether the transformed input of a convolution, `size` elements, is kept for its filter gradient: it takes 2.25 times the
 * memory of the map (F(2x2): 4 times), too much for large maps, and is complete only if all tiles were in one band.
 */
export const keepsPoints = (size: number, { total, count }: { total: number; count: number }): boolean =>
  count >= total && 4 * size <= KEPT_BYTES;

/** From this many results per element of the packed factor on, packing costs less than reading the factor as it lies in memory. */
const PACKED_RESULTS = 128;
/** Columns from which a product fills tiles of vectors. */
const PACKED_COLUMNS = 48;

/**
 * Which factor of a product a * b is transposed first, if the rows of a and the columns of b are contiguous along k as in a linear
 * layer. Then results are computed four columns at a time: with b transposed, or with a for the transposed product. It is the
 * smaller factor; none if neither is used often enough, or on a GPU, whose tiles in workgroup memory read along either axis.
 */
export function packedFactor({ software }: Capabilities, shape: MatmulShape): 'a' | 'b' | null {
  const { M, N, K, am, ak, bk, bn, batch } = shape;
  if (!software || batch !== 1 || K === 1 || bk !== 1 || bn !== K) return null;
  const b = M >= PACKED_RESULTS && N % 4 === 0;
  const a = N >= PACKED_RESULTS && M >= PACKED_COLUMNS && M % 4 === 0 && ak === 1 && am === K;
  if (a && (!b || M < N)) return 'a';
  return b ? 'b' : null;
}

/** Results per element of a from which on transposing it costs less than reading it as it lies in memory; measured on lavapipe. */
const PACKED_ROWS_RESULTS = 384;

/**
 * Whether the a of a product, the filters of a 1x1 convolution or the weights of a linear layer, is transposed first: its rows
 * are contiguous along k, so those of a tile lie in as many pages of memory. On lavapipe products then take two thirds to nine
 * tenths of the time.
 */
export function packsRows({ software }: Capabilities, { M, N, K, am, ak, az, batch }: MatmulShape): boolean {
  return software && ak === 1 && am === K && K > 1 && az === 0 && M % 4 === 0 && N * batch >= PACKED_ROWS_RESULTS;
}

/**
 * Kernels of sorting, selection and suppression. On a software adapter barriers and dispatches cost more than lanes save; a GPU
 * would wait for one workgroup at a time. The results are the same.
 */
export const stageVariant = ({ software }: Capabilities): StageVariant => (software ? 'narrow' : 'wide');

/** Roughly how many workgroups of 64 a core needs to have enough loads in flight for its share of the memory bandwidth. */
const WORKGROUPS_EACH = 8;
/** The fewest terms of a part of a sum that a workgroup adds, 16 loads of four by each lane, and that an invocation adds. */
const PART_TERMS = { workgroup: 4096, invocation: 16 } as const;

/**
 * Parts into which each of `results` sums of `terms` numbers is split, which a workgroup or an invocation adds up; 1 on a
 * software adapter.
 */
export function sumParts(
  { software, machine }: Capabilities,
  by: keyof typeof PART_TERMS,
  results: number,
  terms: number,
): number {
  if (software) return 1;
  const enough = WORKGROUPS_EACH * machine.cores * (by === 'workgroup' ? 1 : 64);
  return Math.max(1, Math.min(Math.floor(terms / PART_TERMS[by]), Math.floor(enough / results)));
}

/** Channels from which a workgroup shares them on a GPU: half of its lanes. */
const SHARED_CHANNELS = 32;

/**
 * Whether softmax and its loss take a workgroup for each position instead of an invocation. Channels that are not neighbours in
 * memory are better read by neighbouring invocations, once these are enough for all cores.
 */
export const sharesPositions = (
  { software, machine }: Capabilities,
  { outer, channels, inner }: ChannelView,
): boolean => !software && channels >= SHARED_CHANNELS && (inner === 1 || outer * inner < 64 * machine.cores);

/** The most cells of a channel, over all images, that one workgroup on a GPU masks; a guess, not measured. */
const MASKED_CELLS = 16384;

/**
 * Whether the backward pass of a ReLU and the sum of its result over each channel are done in one dispatch, with one workgroup
 * per channel, instead of two.
 */
export const sumsWithMask = ({ software }: Capabilities, { outer, inner }: { outer: number; inner: number }): boolean =>
  software || outer * inner <= MASKED_CELLS;

/** Parts into which a filter gradient with `tiles` workgroups and `lines` rows of output splits its sum. */
export const filterSplits = (device: Capabilities, tiles: number, lines: number): number =>
  Math.max(1, Math.min(lines, Math.floor(enoughWorkgroups(device) / tiles)));
