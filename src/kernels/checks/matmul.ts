/**
 * Checks of convolution and matrix product, forward and backward, for any tile of the core.
 *
 * The sum of the first k products of standard normal numbers is of size sqrt(k), rarely above 4 sqrt(k). Every step rounds
 * it by at most half an eps of that, eps = 2^-23; K such roundings, independent, add up to about eps K (the square root of
 * the sum of 4 k), the product's own rounding, and taking the largest of thousands of results, make it a few times as much:
 * 4 eps K is allowed. The reference reads the same float32 numbers. A wrong, missing or doubled term is off by about 1.
 */
import {
  convFilterGradient,
  convForward,
  convForwardReference,
  convGradientsReference,
  convInputGradient,
  convOutputSize,
  type ConvShape,
} from '../conv2d.ts';
import {
  allowsPaddedVectors,
  matmul,
  type MatmulEpilogue,
  matmulReference,
  matmulShape,
  type MatmulTile,
  matmulTileName,
} from '../matmul.ts';
import { type Tile, tileName } from '../matmulCore.ts';
import type { Capabilities } from '../machine.ts';
import { patches, patchesReference } from '../patches.ts';
import { directTiles, matmulTiles } from '../planner.ts';
import { sumPartials, sumPartialsReference } from '../sumPartials.ts';
import { transpose, transposeReference } from '../transpose.ts';
import type { WorkgroupTile } from '../workgroupCore.ts';
import { allowsTile, WORKGROUP_TILES } from '../workgroupPlans.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { normals } from './inputs.ts';

const EPS = 2 ** -23;
export const summed = (terms: number) => ({ atol: 4 * EPS * (1 + terms), rtol: 0 });

/** [batch, channels, height, width], [filters, rows, columns], stride, padding. */
export function convShape(
  [B, C, H, W]: readonly [number, number, number, number],
  [K, R, S]: readonly [number, number, number],
  stride: number,
  pad: number,
): ConvShape {
  return {
    B,
    C,
    H,
    W,
    K,
    R,
    S,
    OH: convOutputSize(H, R, stride, pad),
    OW: convOutputSize(W, S, stride, pad),
    stride,
    pad,
  };
}

export const convName = ({ B, C, H, W, K, R, S, stride, pad }: ConvShape) =>
  `${B}x${C}x${H}x${W} ${K}x${R}x${S} s${stride} p${pad}`;

export const xSize = ({ B, C, H, W }: ConvShape) => B * C * H * W;
export const wSize = ({ K, C, R, S }: ConvShape) => K * C * R * S;
export const ySize = ({ B, K, OH, OW }: ConvShape) => B * K * OH * OW;

export function convForwardCheck(tile: Tile, shape: ConvShape, withBias: boolean, relu = false): KernelCheck {
  const x = normals(xSize(shape), 1);
  const w = normals(wSize(shape), 2);
  const bias = withBias ? normals(shape.K, 3) : null;
  return {
    name: `conv2d_forward ${tileName(tile)}, ${convName(shape)}${bias ? ' bias' : ''}${relu ? ' relu' : ''}`,
    kernel: convForward(tile, withBias, relu),
    buffers: { x, w, ...(bias && { bias }), y: normals(ySize(shape), 4) },
    uniforms: { ...shape },
    expected: { y: convForwardReference(x, w, bias, shape, relu) },
    ...summed(shape.C * shape.R * shape.S),
  };
}

export function convInputGradientCheck(tile: Tile, shape: ConvShape, add = false): KernelCheck {
  const w = normals(wSize(shape), 1);
  const dy = normals(ySize(shape), 2);
  const before = normals(xSize(shape), 3);
  const { dx } = convGradientsReference(new Float32Array(xSize(shape)), w, dy, shape);
  return {
    name: `conv2d_input_gradient ${tileName(tile)}, ${convName(shape)}${add ? ', added' : ''}`,
    kernel: convInputGradient(tile, add),
    buffers: { dy, w, dx: before },
    uniforms: { ...shape },
    expected: { dx: add ? dx.map((value, i) => value + before[i]!) : dx },
    ...summed(shape.K * shape.R * shape.S),
  };
}

/** The whole gradient, added to the contents of the buffer. */
export function convFilterGradientCheck(tile: Tile, shape: ConvShape): KernelCheck {
  const x = normals(xSize(shape), 1);
  const dy = normals(ySize(shape), 2);
  const before = normals(wSize(shape), 3);
  const { dw } = convGradientsReference(x, before, dy, shape);
  return {
    name: `conv2d_filter_gradient ${tileName(tile)}, ${convName(shape)}`,
    kernel: convFilterGradient(tile, true),
    buffers: { x, dy, dw: before },
    uniforms: { ...shape, splits: 1 },
    expected: { dw: dw.map((value, i) => value + before[i]!) },
    ...summed(shape.B * shape.OH * shape.OW),
  };
}

/** The array, followed by large numbers as long as another image, so that reading past the end shows. */
function guarded(data: Float32Array, images: number): Float32Array {
  const longer = new Float32Array(data.length + data.length / images).fill(1e6);
  longer.set(data);
  return longer;
}

/** Lines (b, oy) in each of `splits` parts of a filter gradient. */
export const linesOfPart = ({ B, OH }: ConvShape, splits: number): number => Math.ceil((B * OH) / splits);

/** The filter gradient in `splits` parts, each of which has the gradient of its own lines (b, oy). */
export function filterGradientParts(
  x: Float32Array,
  dy: Float32Array,
  shape: ConvShape,
  splits: number,
): Float64Array[] {
  const { K, OH, OW } = shape;
  const w = new Float32Array(wSize(shape));
  const lines = linesOfPart(shape, splits);
  return Array.from({ length: splits }, (_, part) => {
    const own = dy.map((value, i) => {
      const line = Math.floor(i / (K * OH * OW)) * OH + (Math.floor(i / OW) % OH);
      return Math.floor(line / lines) === part ? value : 0;
    });
    return convGradientsReference(x, w, own, shape).dw;
  });
}

/** In `splits` parts, each assigned. */
export function convFilterGradientPartialCheck(tile: Tile, shape: ConvShape, splits: number): KernelCheck {
  const { B, OW } = shape;
  const x = normals(xSize(shape), 1);
  const dy = normals(ySize(shape), 2);
  const parts = filterGradientParts(x, dy, shape, splits);
  return {
    name: `conv2d_filter_gradient ${tileName(tile)}, ${convName(shape)} in ${splits}`,
    kernel: convFilterGradient(tile, false),
    buffers: { x: guarded(x, B), dy: guarded(dy, B), dw: normals(splits * wSize(shape), 3) },
    uniforms: { ...shape, splits },
    expected: { dw: Float64Array.from(parts.flatMap((part) => [...part])) },
    ...summed(linesOfPart(shape, splits) * OW),
  };
}

export function sumPartialsCheck(
  [rows, columns]: readonly [number, number],
  parts: number,
  epilogue: MatmulEpilogue,
  relu = false,
): KernelCheck {
  const n = rows * columns;
  const partial = normals(n * parts, 1);
  const y = normals(n, 2);
  const bias = epilogue === 'bias' ? normals(columns, 3) : epilogue === 'rowBias' ? normals(rows, 3) : null;
  return {
    name: `sum_partials_${epilogue} ${rows}x${columns} of ${parts} parts${relu ? ' relu' : ''}`,
    kernel: sumPartials(epilogue, relu),
    buffers: { partial, ...(bias && { bias }), y },
    uniforms: { n, parts, columns },
    expected: { y: sumPartialsReference(partial, bias, y, parts, columns, epilogue, relu) },
    ...summed(parts),
  };
}

/** A band of the patches of the last image. */
export function patchesCheck(shape: ConvShape, first: number, count: number): KernelCheck {
  const x = normals(xSize(shape), 1);
  const band = { image: shape.B - 1, first, count };
  return {
    name: `patches ${convName(shape)}, ${count} from ${first} on`,
    kernel: patches,
    buffers: { x, columns: normals(shape.R * shape.S * shape.C * count, 2) },
    uniforms: { ...shape, ...band },
    expected: { columns: patchesReference(x, shape, band) },
    ...EXACT,
  };
}

export function transposeCheck(rows: number, columns: number): KernelCheck {
  const b = normals(rows * columns, 1);
  return {
    name: `transpose ${rows}x${columns}`,
    kernel: transpose,
    buffers: { b, c: normals(rows * columns, 2) },
    uniforms: { rows, columns },
    expected: { c: transposeReference(Float64Array.from(b), rows, columns) },
    atol: 0,
    rtol: 0,
  };
}

/** Which of a, b and c lie transposed in memory, as in the three products of a linear layer. */
export interface MatmulLayout {
  a?: boolean;
  b?: boolean;
  c?: boolean;
  /** Rows of b are longer than its columns, which are no multiple of four, and c begins behind its first elements. */
  padded?: boolean;
}

/**
 * One product [M, N, K], or a batch of them, each with gaps behind it. Where the tile reads four columns, or rows, at a time,
 * N, or M, is four times as large; and rows of a lie transposed.
 */
export function matmulCheck(
  tile: MatmulTile,
  epilogue: MatmulEpilogue,
  [m, n, K]: readonly [number, number, number],
  { batch = 1, relu = false, ...given }: MatmulLayout & { batch?: number; relu?: boolean } = {},
): KernelCheck {
  const { width, rowWidth } = tile.variant === 'workgroup' ? { width: 1, rowWidth: 1 } : tile;
  const { padded = false } = given;
  const [M, N] = [m * rowWidth, n * width - (padded ? 2 : 0)];
  const pitch = padded ? 4 * Math.ceil(N / 4) + 4 : N;
  const layout = { ...given, ...(rowWidth === 4 && { a: true }) };
  const shape = matmulShape({
    M,
    N,
    K,
    ...(layout.a ? { am: 1, ak: M } : { am: K, ak: 1 }),
    ...(layout.b ? { bk: 1, bn: K } : { bk: pitch, bn: 1 }),
    ...(layout.c ? { cm: 1, cn: M } : { cm: N, cn: 1 }),
    ...(batch > 1 && { az: M * K + (M % 4 === 0 ? 4 : 3), bz: K * N + 4, cz: M * N + 8 }),
    ...(padded && { c0: 7 }),
    batch,
  });
  if (width === 4 && !allowsPaddedVectors(shape)) {
    throw new Error(`${matmulTileName(tile)} cannot compute ${M}x${N}x${K}`);
  }
  const last = batch - 1;
  const a = normals(M * K + last * shape.az, 1);
  const b = normals(K * pitch + last * shape.bz, 2);
  const bias = epilogue === 'bias' ? normals(N, 3) : epilogue === 'rowBias' ? normals(M, 3) : null;
  const c = normals(shape.c0 + M * N + last * shape.cz, 4);
  const transposed = (['a', 'b', 'c'] as const).filter((name) => layout[name]).join('');
  const words = [
    transposed && `${transposed} transposed`,
    padded && 'padded',
    batch > 1 && `batch ${batch}`,
    relu && 'relu',
  ];
  return {
    name: [`matmul_${epilogue} ${matmulTileName(tile)}, ${M}x${N}x${K}`, ...words].filter(Boolean).join(' '),
    kernel: matmul(tile, shape, epilogue, relu),
    buffers: { a, b, ...(bias && { bias }), c },
    uniforms: { ...shape },
    expected: { c: matmulReference(a, b, bias, c, shape, epilogue, relu) },
    ...summed(K),
  };
}

const SHAPE = convShape([2, 5, 13, 17], [19, 3, 3], 2, 1);

const directChecks = (tile: Tile): (() => KernelCheck)[] => [
  () => convForwardCheck(tile, SHAPE, true, true),
  () => convForwardCheck(tile, SHAPE, false),
  () => convInputGradientCheck(tile, SHAPE),
  () => convInputGradientCheck(tile, SHAPE, true),
  () => convFilterGradientCheck(tile, SHAPE),
  () => convFilterGradientPartialCheck(tile, SHAPE, 4),
];

const productChecks = (tile: Tile): (() => KernelCheck)[] => {
  const vectors = tile.width === 4;
  const size = [tile.rowWidth === 4 ? 19 : 21, vectors ? 33 : 131, 67] as const;
  return [
    () => matmulCheck(tile, 'bias', size, { b: !vectors, relu: true }),
    () => matmulCheck(tile, 'rowBias', size),
    () => matmulCheck(tile, 'assign', size, { a: true, batch: 3 }),
    () => matmulCheck(tile, 'assign', size, { c: true, batch: 2 }),
    () => matmulCheck(tile, 'accumulate', size, { a: true }),
    ...(vectors ? [() => matmulCheck(tile, 'rowBias', size, { padded: true, relu: true })] : []),
  ];
};

/** Every way to fetch factors and to store results; products of more than one tile each way, of several stages. */
const tileChecks = (device: Capabilities, tile: WorkgroupTile): (() => KernelCheck)[] => {
  const [rows, columns, K] = [tile.rows + 5, tile.columns + 3, 2 * tile.depth + 5];
  const [rows4, columns4] = [tile.rows + 4, tile.columns + 8];
  const largest = { fetchA: 'k', fetchB: 'k' } as const;
  return [
    ...(allowsTile(device, tile, largest)
      ? [
          () => matmulCheck(tile, 'bias', [rows, columns, K], { b: true, relu: true }),
          () => matmulCheck(tile, 'assign', [rows, columns4, K], { b: true }),
        ]
      : []),
    () => matmulCheck(tile, 'rowBias', [rows4, columns4, K], { a: true, batch: 2 }),
    () => matmulCheck(tile, 'accumulate', [rows, columns, K], { a: true, c: true }),
  ];
};

/**
 * Every way for every tile. A software adapter takes seconds to compile each, and never chooses these tiles itself. There the
 * tiles take the ways in turn, since fetching and storing do not depend on the tile; the last tile has them all.
 */
const workgroupChecks = (device: Capabilities): (() => KernelCheck)[] =>
  WORKGROUP_TILES.flatMap((tile, i) => {
    const ways = tileChecks(device, tile);
    return device.software && i < WORKGROUP_TILES.length - 1 ? [ways[i % ways.length]!] : ways;
  });

const distinct = <T extends object>(tiles: readonly T[]): T[] => [
  ...new Map(tiles.map((tile) => [JSON.stringify(tile), tile])).values(),
];

/** Every tile that a device with these capabilities may get, and those of a device without fixed subgroups. */
export function matmulChecks(device: Capabilities): readonly (() => KernelCheck)[] {
  const devices = [device, { ...device, subgroupSize: 0 }];
  // Any number of columns and rows, four to a load; the last has a tile whose height is not a power of two.
  const kinds = [
    { M: 1, N: 5, am: 1 },
    { M: 1, N: 4, am: 1 },
    { M: 104, N: 4, am: 3 },
    { M: 64, N: 4, am: 1 },
    { M: 104, N: 4, am: 1 },
  ];
  const products = devices.flatMap((each) =>
    kinds.flatMap(({ M, N, am }) =>
      matmulTiles(each, matmulShape({ M, N, K: 1, am, ak: M, bk: N, bn: 1, cm: N, cn: 1 })),
    ),
  );
  return [
    () => sumPartialsCheck([1, 1999], 7, 'assign'),
    () => sumPartialsCheck([1, 1999], 7, 'accumulate'),
    () => sumPartialsCheck([47, 43], 3, 'bias', true),
    () => sumPartialsCheck([47, 43], 3, 'rowBias'),
    () => transposeCheck(68, 131),
    ...distinct(devices.flatMap((each) => directTiles(each, 1, 1))).flatMap(directChecks),
    ...distinct(products)
      .filter((tile) => tile.variant !== 'workgroup')
      .flatMap(productChecks),
    ...workgroupChecks(device),
  ];
}
