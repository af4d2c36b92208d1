/**
 * Winograd's minimal filtering for 3x3 convolutions of stride 1 (Lavin and Gray 2016), F(m x m, 3 x 3) with m = 2 or 4:
 * a tile of m x m outputs costs (m + 2)^2 multiplications per channel instead of 9 m^2, 2.25 or 4 times fewer.
 *
 *   forward           y = A' [ sum_c (G w G') * (B' x B) ] A          x: patches of side m + 2, m apart
 *   input gradient    the forward form applied to dy, with the filters turned by 180 degrees and c, k exchanged
 *   filter gradient   dw = G' [ sum_tiles (A dy A') * (B' x B) ] G    the exact derivative of the forward form
 *
 * (' transposes, * multiplies elementwise.) The sums in brackets are (m + 2)^2 independent matrix products, one for each
 * point z of a transformed tile: kernels/matmul.ts, in slices. The kernels here go from maps and filters to points and
 * back. Tiles t run over images, then rows, then columns of tiles; a launch handles `count` of them from `first` on, so
 * that the transformed maps of a large image need not exist at once.
 *
 * With m = 4 there is more cancellation: the error against float64 is about five times that of the direct sum
 * (docs/performance.md).
 */
import { DIVIDE_WGSL } from './divide.ts';
import { type BufferSpec, ceilDiv, kernel, linear, memoize, type Kernel } from './kernel.ts';
import { RELU_WGSL } from './relu.ts';
import { range } from './text.ts';

type Matrix = readonly (readonly number[])[];

/** B', G and A' of F(m, 3); interpolation points 0, 1, -1 (, 2, -2) and infinity. */
interface Transforms {
  input: Matrix;
  filter: Matrix;
  output: Matrix;
}

export type WinogradSize = 2 | 4;

const TRANSFORMS: Readonly<Record<WinogradSize, Transforms>> = {
  2: {
    input: [
      [1, 0, -1, 0],
      [0, 1, 1, 0],
      [0, -1, 1, 0],
      [0, 1, 0, -1],
    ],
    filter: [
      [1, 0, 0],
      [1 / 2, 1 / 2, 1 / 2],
      [1 / 2, -1 / 2, 1 / 2],
      [0, 0, 1],
    ],
    output: [
      [1, 1, 1, 0],
      [0, 1, -1, -1],
    ],
  },
  4: {
    input: [
      [4, 0, -5, 0, 1, 0],
      [0, -4, -4, 1, 1, 0],
      [0, 4, -4, -1, 1, 0],
      [0, -2, -1, 2, 1, 0],
      [0, 2, -1, -2, 1, 0],
      [0, 4, 0, -5, 0, 1],
    ],
    filter: [
      [1 / 4, 0, 0],
      [-1 / 6, -1 / 6, -1 / 6],
      [-1 / 6, 1 / 6, -1 / 6],
      [1 / 24, 1 / 12, 1 / 6],
      [1 / 24, -1 / 12, 1 / 6],
      [0, 0, 1],
    ],
    output: [
      [1, 1, 1, 1, 1, 0],
      [0, 1, -1, 2, -2, 0],
      [0, 1, 1, 4, 4, 0],
      [0, 1, -1, 8, -8, 1],
    ],
  },
};

const transpose = (matrix: Matrix): Matrix => matrix[0]!.map((_, column) => matrix.map((row) => row[column]!));

/** The number of points of a transformed tile. */
export const pointsOf = (m: WinogradSize): number => (m + 2) ** 2;

/** A map that is cut into tiles, and the tiles of one launch. */
const TILES = {
  channels: 'u32',
  h: 'u32',
  w: 'u32',
  /** Width of the border of zeros around the map, into which patches extend. */
  pad: 'u32',
  tilesY: 'u32',
  tilesX: 'u32',
  /** The number of tiles of all images. */
  total: 'u32',
  first: 'u32',
  count: 'u32',
} as const;

export type TileUniforms = Record<keyof typeof TILES, number>;

const WORKGROUP = 64;

/** `place(t)`: where tile t lies. */
const TILE_WGSL = /* wgsl */ `${DIVIDE_WGSL}
// Column, row, image.
fn place(t: u32) -> vec3u {
  let row = divide(t, u.tilesX);
  let image = divide(row, u.tilesY);
  return vec3u(t - row * u.tilesX, row - image * u.tilesY, image);
}
`;

/** The text of sum_i coefficients[i] * terms[i], without products by 0 and 1. */
function combination(coefficients: readonly number[], terms: readonly string[]): string {
  let text = '';
  coefficients.forEach((value, i) => {
    if (value === 0) return;
    const size = Math.abs(value);
    const term = size === 1 ? terms[i]! : `${size.toPrecision(9)} * ${terms[i]}`;
    text += text === '' ? (value < 0 ? `-${term}` : term) : ` ${value < 0 ? '-' : '+'} ${term}`;
  });
  return text || '0.0';
}

/** Statements that compute matrix * d * matrix' from values `${from}${row}_${column}` into `${to}${row}_${column}`. */
function sandwich(matrix: Matrix, from: string, to: string): string {
  const size = matrix[0]!.length;
  const lines: string[] = [];
  matrix.forEach((row, i) => {
    for (let s = 0; s < size; s++) {
      const terms = row.map((_, r) => `${from}${r}_${s}`);
      lines.push(`let ${to}h${i}_${s} = ${combination(row, terms)};`);
    }
  });
  matrix.forEach((_, i) => {
    matrix.forEach((row, j) => {
      const terms = row.map((_, s) => `${to}h${i}_${s}`);
      lines.push(`let ${to}${i}_${j} = ${combination(row, terms)};`);
    });
  });
  return lines.join('\n  ');
}

const grid2 = <T>(rows: number, columns: number, line: (i: number, j: number) => T): T[] =>
  Array.from({ length: rows * columns }, (_, z) => line(Math.floor(z / columns), z % columns));

/** If channels run fastest, a workgroup spans this many channels; its other dimension runs along tiles. */
const ACROSS = 8;

/**
 * Whether rows can be read and written four columns at a time: tiles of four columns then begin at a multiple of four, in the
 * map and in memory. A patch of the input overlaps its neighbours by the padding of 1.
 */
export const alignsTiles = (m: WinogradSize, what: 'input' | 'output', { w, pad }: TileUniforms): boolean =>
  m === 4 && w % 4 === 0 && pad === (what === 'input' ? 1 : 0);

/** Which index of transformed maps runs fastest: tiles (forward) or channels (the filter gradient sums over tiles). */
export type PointLayout = 'channels-tiles' | 'tiles-channels';

/**
 * x [B, channels, h, w] -> v [points, channels, count] or [points, count, channels]; tiles beyond `total` become 0.
 * `what`: 'input' cuts patches of side m + 2 (B' x B), 'output' the m x m tiles themselves (A dy A'). If `aligned`
 * (`alignsTiles`), x is bound a second time, as `rows`.
 */
export const winogradGather = memoize(
  (m: WinogradSize, what: 'input' | 'output', layout: PointLayout, aligned: boolean): Kernel => {
    const matrix = what === 'input' ? TRANSFORMS[m].input : transpose(TRANSFORMS[m].output);
    const side = matrix[0]!.length;
    const points = matrix.length;
    const tilesFirst = layout === 'channels-tiles';

    // One invocation transforms one patch d. on{r} and in{s} say whether its row r and its column s lie on the map.
    const channelAndTile = tilesFirst
      ? [
          `let index = linear_index(group, groups, lane, ${WORKGROUP}u);`,
          'let c = divide(index, u.count);',
          'let i = index - c * u.count;',
        ]
      : [
          `let c = group.x * ${ACROSS}u + lane % ${ACROSS}u;`,
          `let i = group.y * ${WORKGROUP / ACROSS}u + lane / ${ACROSS}u;`,
        ];
    const rowOnMap = (r: number): string =>
      `let on${r} = t < u.total && top + ${r}u < u.h; let line${r} = plane + (top + ${r}u) * u.w + left;`;
    const columnInMap = (s: number): string => `let in${s} = left + ${s}u < u.w;`;
    const loadOne = (r: number, s: number): string => {
      const inside = `on${r} && in${s}`;
      return `let d${r}_${s} = select(0.0, x[select(0u, line${r} + ${s}u, ${inside})], ${inside});`;
    };
    const loadFour = (r: number): string[] => {
      // The patch of an input begins one column before the four.
      const first = what === 'input' ? 1 : 0;
      return [
        `let q${r} = select(vec4f(), rows[select(0u, (line${r} + ${first}u) / 4u, on${r})], on${r});`,
        range(4)
          .map((s) => `let d${r}_${s + first} = q${r}.${'xyzw'[s]};`)
          .join(' '),
      ];
    };
    const loadRow = (r: number): string[] => {
      if (!aligned) return range(side).map((s) => loadOne(r, s));
      return what === 'input' ? [...loadFour(r), loadOne(r, 0), loadOne(r, 5)] : loadFour(r);
    };
    const storePoint = (i: number, j: number): string => `v[target_at] = v${i}_${j}; target_at += area;`;
    const lines = (statements: readonly string[]): string => statements.join('\n  ');
    return kernel({
      name: `winograd${m}_gather_${what}_${layout.replace('-', '_')}${aligned ? '_aligned' : ''}`,
      buffers: {
        x: 'read',
        ...(aligned ? { rows: 'read vec4f' } : {}),
        v: 'write',
      } as Record<string, BufferSpec>,
      uniforms: TILES,
      grid: ({ channels, count }) =>
        tilesFirst
          ? linear(channels * count, WORKGROUP)
          : [ceilDiv(channels, ACROSS), ceilDiv(count, WORKGROUP / ACROSS), 1],
      lanes: WORKGROUP,
      functions: TILE_WGSL,
      body: /* wgsl */ `
  ${lines(channelAndTile)}
  if (c >= u.channels || i >= u.count) { return; }
  let t = u.first + i;
  let at = place(t);
  // Unsigned: a patch that begins above or left of the map wraps around and fails the comparison.
  let top = at.y * ${m}u - u.pad;
  let left = at.x * ${m}u - u.pad;
  let plane = (at.z * u.channels + c) * u.h * u.w;
  ${lines(range(side).map(rowOnMap))}
  ${lines(range(side).map(columnInMap))}
  ${lines(range(side).flatMap(loadRow))}
  ${sandwich(matrix, 'd', 'v')}
  let area = u.channels * u.count;
  var target_at = ${tilesFirst ? 'index' : 'i * u.channels + c'};
  ${lines(grid2(points, points, storePoint))}`,
    });
  },
);

/** What happens to the result: it is assigned, rectified and assigned, or added to y. */
export type WinogradStore = 'assign' | 'relu' | 'add';

const STORE_SUFFIX: Readonly<Record<WinogradStore, string>> = { assign: '', relu: '_relu', add: '_add' };

/**
 * v [points, channels, count] -> y [B, channels, h, w]: A' v A, plus bias [channels] if there is one.
 * If `aligned` (`alignsTiles`), y holds vectors.
 */
export const winogradScatter = memoize(
  (m: WinogradSize, bias: boolean, store: WinogradStore, aligned: boolean): Kernel => {
    const matrix = TRANSFORMS[m].output;
    const points = matrix[0]!.length;
    const result = (value: string, rectify: 'relu' | 'relu4'): string => {
      const sum = `${value}${bias ? ' + shift' : ''}`;
      return store === 'relu' ? `${rectify}(${sum})` : sum;
    };
    const assign = store === 'add' ? '+=' : '=';
    const line = (r: number): string => `plane + (top + ${r}u) * u.w + left`;
    const storeOne = (r: number, s: number): string => {
      const value = result(`y${r}_${s}`, 'relu');
      return `if (top + ${r}u < u.h && left + ${s}u < u.w) { y[${line(r)} + ${s}u] ${assign} ${value}; }`;
    };
    const storeFour = (r: number): string => {
      const value = result(`vec4f(y${r}_0, y${r}_1, y${r}_2, y${r}_3)`, 'relu4');
      return `if (top + ${r}u < u.h) { y[(${line(r)}) / 4u] ${assign} ${value}; }`;
    };
    return kernel({
      name: `winograd${m}_scatter${bias ? '_bias' : ''}${STORE_SUFFIX[store]}${aligned ? '_aligned' : ''}`,
      buffers: {
        v: 'read',
        ...(bias ? { bias: 'read' } : {}),
        y: `${store === 'add' ? 'read_write' : 'write'}${aligned ? ' vec4f' : ''}`,
      } as Record<string, BufferSpec>,
      uniforms: TILES,
      grid: ({ channels, count }) => linear(channels * count, WORKGROUP),
      lanes: WORKGROUP,
      functions: TILE_WGSL + (store === 'relu' ? RELU_WGSL : ''),
      body: /* wgsl */ `
  let index = linear_index(group, groups, lane, ${WORKGROUP}u);
  let c = divide(index, u.count);
  let t = u.first + index - c * u.count;
  if (c >= u.channels || t >= u.total) { return; }
  let area = u.channels * u.count;
  var source = index;
  ${grid2(points, points, (r, s) => `let d${r}_${s} = v[source]; source += area;`).join('\n  ')}
  ${sandwich(matrix, 'd', 'y')}
  let at = place(t);
  let top = at.y * ${m}u;
  let left = at.x * ${m}u;
  let plane = (at.z * u.channels + c) * u.h * u.w;
  ${bias ? 'let shift = bias[c];' : ''}
  ${(aligned ? grid2(m, 1, storeFour) : grid2(m, m, storeOne)).join('\n  ')}`,
    });
  },
);

const FILTERS = { K: 'u32', C: 'u32' } as const;

/**
 * w [K, C, 3, 3] -> u [points, C, K] (forward), or with the filters turned by 180 degrees [points, K, C] (input gradient):
 * what a product sums over comes first, so that the rows of its left factor lie side by side.
 */
export const winogradFilter = memoize((m: WinogradSize, turned: boolean): Kernel => {
  const matrix = TRANSFORMS[m].filter;
  const points = matrix.length;
  return kernel({
    name: `winograd${m}_filter${turned ? '_turned' : ''}`,
    buffers: { w: 'read', v: 'write' },
    uniforms: FILTERS,
    grid: ({ K, C }) => (turned ? [ceilDiv(C, WORKGROUP), K, 1] : [ceilDiv(K, WORKGROUP), C, 1]),
    lanes: WORKGROUP,
    body: /* wgsl */ `
  let row = group.x * ${WORKGROUP}u + lane;
  let step = group.y;
  let rows = ${turned ? 'u.C' : 'u.K'};
  if (row >= rows) { return; }
  let source = (${turned ? 'step * u.C + row' : 'row * u.C + step'}) * 9u;
  ${grid2(3, 3, (r, s) => `let d${r}_${s} = w[source + ${turned ? 8 - (r * 3 + s) : r * 3 + s}u];`).join('\n  ')}
  ${sandwich(matrix, 'd', 'v')}
  let area = u.K * u.C;
  var target_at = step * rows + row;
  ${grid2(points, points, (i, j) => `v[target_at] = v${i}_${j}; target_at += area;`).join('\n  ')}`,
  });
});

/** v [points, C, K] -> dw [K, C, 3, 3] = G' v G; with `add`, added to dw. */
export const winogradFilterGradient = memoize((m: WinogradSize, add: boolean): Kernel => {
  const matrix = transpose(TRANSFORMS[m].filter);
  const points = matrix[0]!.length;
  return kernel({
    name: `winograd${m}_filter_gradient${add ? '_add' : ''}`,
    buffers: { v: 'read', dw: add ? 'read_write' : 'write' },
    uniforms: FILTERS,
    grid: ({ K, C }) => [ceilDiv(K, WORKGROUP), C, 1],
    lanes: WORKGROUP,
    body: /* wgsl */ `
  let k = group.x * ${WORKGROUP}u + lane;
  let c = group.y;
  if (k >= u.K) { return; }
  let area = u.K * u.C;
  let first = (k * u.C + c) * 9u;
  var source = c * u.K + k;
  ${grid2(points, points, (r, s) => `let d${r}_${s} = v[source]; source += area;`).join('\n  ')}
  ${sandwich(matrix, 'd', 'w')}
  ${grid2(3, 3, (r, s) => `dw[first + ${r * 3 + s}u] ${add ? '+=' : '='} w${r}_${s};`).join('\n  ')}`,
  });
});

/** matrix * d * matrix' in float64, d of side `matrix[0].length`. */
function sandwichReference(matrix: Matrix, d: readonly number[]): number[] {
  const size = matrix[0]!.length;
  const half = matrix.flatMap((row) =>
    grid2(1, size, (_, s) => row.reduce((sum, f, r) => sum + f * d[r * size + s]!, 0)),
  );
  return grid2(matrix.length, matrix.length, (i, j) =>
    matrix[j]!.reduce((sum, f, s) => sum + f * half[i * size + s]!, 0),
  );
}

const placeOf = (t: number, { tilesX, tilesY }: TileUniforms): [image: number, row: number, column: number] => [
  Math.floor(t / (tilesX * tilesY)),
  Math.floor(t / tilesX) % tilesY,
  t % tilesX,
];

export function winogradGatherReference(
  x: ArrayLike<number>,
  m: WinogradSize,
  what: 'input' | 'output',
  layout: PointLayout,
  tiles: TileUniforms,
): Float64Array {
  const { channels, h, w, pad, total, first, count } = tiles;
  const matrix = what === 'input' ? TRANSFORMS[m].input : transpose(TRANSFORMS[m].output);
  const side = matrix[0]!.length;
  const v = new Float64Array(matrix.length ** 2 * channels * count);
  for (let i = 0; i < count && first + i < total; i++) {
    const [image, row, column] = placeOf(first + i, tiles);
    for (let c = 0; c < channels; c++) {
      const patch = grid2(side, side, (r, s) => {
        const [iy, ix] = [row * m - pad + r, column * m - pad + s];
        return iy < 0 || iy >= h || ix < 0 || ix >= w ? 0 : x[((image * channels + c) * h + iy) * w + ix]!;
      });
      sandwichReference(matrix, patch).forEach((value, z) => {
        v[z * channels * count + (layout === 'channels-tiles' ? c * count + i : i * channels + c)] = value;
      });
    }
  }
  return v;
}

/** Writes into `y`, as the kernel does, the tiles of this launch. */
export function winogradScatterReference(
  v: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  store: WinogradStore,
  y: Float64Array,
  m: WinogradSize,
  tiles: TileUniforms,
): void {
  const { channels, h, w, total, first, count } = tiles;
  for (let i = 0; i < count && first + i < total; i++) {
    const [image, row, column] = placeOf(first + i, tiles);
    for (let c = 0; c < channels; c++) {
      const points = Array.from({ length: pointsOf(m) }, (_, z) => v[z * channels * count + c * count + i]!);
      sandwichReference(TRANSFORMS[m].output, points).forEach((value, p) => {
        const [iy, ix] = [row * m + Math.floor(p / m), column * m + (p % m)];
        if (iy >= h || ix >= w) return;
        const sum = value + (bias ? bias[c]! : 0);
        const at = ((image * channels + c) * h + iy) * w + ix;
        y[at] = { assign: sum, relu: Math.max(0, sum), add: y[at]! + sum }[store];
      });
    }
  }
}

export function winogradFilterReference(
  w: ArrayLike<number>,
  m: WinogradSize,
  turned: boolean,
  [K, C]: readonly [number, number],
): Float64Array {
  const u = new Float64Array(pointsOf(m) * K * C);
  for (let k = 0; k < K; k++)
    for (let c = 0; c < C; c++) {
      const taps = Array.from({ length: 9 }, (_, i) => w[(k * C + c) * 9 + (turned ? 8 - i : i)]!);
      sandwichReference(TRANSFORMS[m].filter, taps).forEach((value, z) => {
        u[z * K * C + (turned ? k * C + c : c * K + k)] = value;
      });
    }
  return u;
}

export function winogradFilterGradientReference(
  v: ArrayLike<number>,
  dw: ArrayLike<number>,
  m: WinogradSize,
  [K, C]: readonly [number, number],
): Float64Array {
  const result = Float64Array.from(dw);
  for (let k = 0; k < K; k++)
    for (let c = 0; c < C; c++) {
      const points = Array.from({ length: pointsOf(m) }, (_, z) => v[(z * C + c) * K + k]!);
      sandwichReference(transpose(TRANSFORMS[m].filter), points).forEach((value, tap) => {
        result[(k * C + c) * 9 + tap]! += value;
      });
    }
  return result;
}
