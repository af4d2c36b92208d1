/**
 * The matrix-product core that convolution, its Winograd form and linear layers share.
 *
 *   C[m, n] = sum_k A(m, k) B(k, n)
 *
 * A workgroup computes a tile of `rows` x (`lanes` * `columns` * `width`) results. Every lane owns `columns` groups of
 * `width` columns (1: f32, 4: vec4f), groups `lanes` apart so that neighbouring lanes touch neighbouring addresses, and
 * keeps its sums in registers; there is no workgroup memory and no barrier. The two variants differ in how the `rows`
 * values of A reach all lanes:
 *
 *   subgroup   the workgroup is one subgroup: a lane loads the rows lane, lane + lanes, ... (`rowWidth` 4: the rows from
 *              4 lane, 4 (lane + lanes), ... on, four side by side in memory at once) and broadcasts them, so a step costs
 *              rows / (lanes * rowWidth) + columns loads for rows * columns * width multiply-adds per lane. Where a subgroup
 *              has no fewer lanes than the tile has rows, the workgroup may be several subgroups as well: each lane holds a
 *              row by its place in its own subgroup, and columns by its place in the workgroup
 *   register   every lane loads all rows (a uniform address): rows + columns loads; works on every adapter
 *
 * A, B and C are given as shader text: an operation supplies the loop nest over k and the expressions to load and store, so
 * an im2col matrix is only ever an address computation. Sums run over k in loop order: the result does not depend on the
 * device's scheduling, nor on the tile.
 */
import { ceilDiv, type Grid, type KernelBody, MAX_WORKGROUPS } from './kernel.ts';
import { range } from './text.ts';

export interface Tile {
  readonly variant: 'subgroup' | 'register';
  readonly rows: number;
  /** Rows per load of A (1: f32, 4: vec4f); 4 only in the subgroup variant, and only if M is a multiple of it. */
  readonly rowWidth: 1 | 4;
  /** Groups of columns per lane, and columns of a group. */
  readonly columns: number;
  readonly width: 1 | 4;
  readonly lanes: number;
}

/** The text an operation supplies. Indices are u32 expressions; `j` and `i` are literals. */
export interface MatmulText {
  /** Module-scope declarations. */
  declarations?: string;
  /** Statements before the sums, run once: may use `tile_m`, `tile_n`, `slice` and the rows `row${i}` that a lane loads. */
  setup?: string;
  /** Per-group statements, run once for every group j; the index of its first column is `n${j}`. */
  column?: (j: number) => string;
  /** The loop nest over k around the given innermost body. */
  loop: (body: string) => string;
  /** A(m, k), `rowWidth` values, for the i-th row m that a lane loads, `row${i}`. */
  a: (i: number) => string;
  /** B(k, n) for group j, `width` values. */
  b: (j: number) => string;
  /** Statements that store `value`, `width` values, at row `m`, first column `n` (all variables); bounds have been checked. */
  store: string;
  /** Expressions of M and N; N is a multiple of the tile's width. */
  m: string;
  n: string;
}

/** Loads of A per lane and step. */
export const loadsOfA = ({ variant, rows, rowWidth, lanes }: Tile): number =>
  variant === 'subgroup' ? ceilDiv(rows, lanes * rowWidth) : rows;

export function matmulBody(tile: Tile, text: MatmulText): KernelBody {
  const { rows, rowWidth, columns, width, lanes } = tile;
  const subgroup = tile.variant === 'subgroup';
  const type = width === 4 ? 'vec4f' : 'f32';
  const loads = range(loadsOfA(tile));
  const groups = range(columns);

  /** The first column of group j, a number or an expression. */
  const firstColumn = (j: number | string): string => {
    const offset = typeof j === 'number' ? `${j * lanes}u` : `${j} * ${lanes}u`;
    return `(tile_n * ${lanes * columns}u + ${offset} + lane) * ${width}u`;
  };
  /** The row, or first of four rows, of a lane's i-th load of A; one beyond the last becomes the last. */
  const rowOfLoad = (i: number): string => {
    const row = subgroup ? `(${i * lanes}u + holder) * ${rowWidth}u` : `${i}u`;
    return `min(tile_m * ${rows}u + ${row}, ${text.m} - ${rowWidth}u)`;
  };
  /** The value of A for row i of the tile, from the lane that loaded it. */
  const valueOfRow = (i: number): string => {
    if (!subgroup) return `a${i}`;
    const holder = Math.floor(i / rowWidth);
    const part = rowWidth === 4 ? `.${'xyzw'[i % 4]}` : '';
    return `subgroupBroadcast(a${Math.floor(holder / lanes)}${part}, ${holder % lanes}u)`;
  };

  const loadA = loads.map((i) => `let a${i} = ${text.a(i)};`);
  const loadB = groups.map((j) => `let b${j} = ${text.b(j)};`);
  const addRow = (i: number): string[] => [
    `let v${i} = ${type}(${valueOfRow(i)});`,
    ...groups.map((j) => `c${i}_${j} = fma(v${i}, b${j}, c${i}_${j});`),
  ];
  const step = [...loadA, ...loadB, ...range(rows).flatMap(addRow)].join('\n      ');

  const lines = (statements: readonly string[]): string => statements.join('\n  ');
  const columnIndices = lines(groups.map((j) => `let n${j} = ${firstColumn(j)};`));
  const rowIndices = lines(loads.map((i) => `let row${i} = ${rowOfLoad(i)};`));
  const sums = lines(range(rows).flatMap((i) => groups.map((j) => `var c${i}_${j} = ${type}();`)));
  const allSums = range(rows).flatMap((i) => groups.map((j) => `c${i}_${j}`));
  return {
    functions: text.declarations ?? '',
    lanes,
    subgroups: subgroup,
    body: /* wgsl */ `
  let tile_n = group.x;
  let tile_m = group.y;
  let slice = group.z;
  ${columnIndices}
  ${rowIndices}
  ${text.setup ?? ''}
  ${text.column ? lines(groups.map(text.column)) : ''}
  ${sums}
  ${text.loop(step)}
  // One store in a loop, not one for every sum: on software adapters a scatter is long code and dominates compilation.
  var results = array<${type}, ${rows * columns}>(${allSums.join(', ')});
  ${storeLoop(tile, text, firstColumn)}`,
  };
}

/** Mesa unrolls loops of up to so many turns, 32 scatters in this case, where it knows the number. */
const UNROLLED_TURNS = 32;

/** Stores `results`. `firstColumn`: of a group. */
function storeLoop({ rows, columns, lanes }: Tile, text: MatmulText, firstColumn: (j: string) => string): string {
  // Lavapipe's tiles; the compilers of GPUs should unroll the loops, or the sums leave their registers.
  if (lanes === 8) {
    return /* wgsl */ `for (var result = 0u; result < ${Math.max(rows * columns, UNROLLED_TURNS + 1)}u; result++) {
    let i = result / ${columns}u;
    let n = ${firstColumn(`(result % ${columns}u)`)};
    let m = tile_m * ${rows}u + i;
    if (i < ${rows}u && m < ${text.m} && n < ${text.n}) {
      let value = results[result];
      ${text.store}
    }
  }`;
  }
  return /* wgsl */ `for (var j = 0u; j < ${columns}u; j++) {
    let n = ${firstColumn('j')};
    if (n >= ${text.n}) { break; }
    for (var i = 0u; i < ${rows}u; i++) {
      let m = tile_m * ${rows}u + i;
      if (m >= ${text.m}) { break; }
      let value = results[i * ${columns}u + j];
      ${text.store}
    }
  }`;
}

/** Workgroups for M x N results; the third dimension is the operation's (its batch, or its splits of k). */
export function matmulGrid(tile: Tile, m: number, n: number, slices = 1): Grid {
  const grid: Grid = [ceilDiv(n, tile.lanes * tile.columns * tile.width), ceilDiv(m, tile.rows), slices];
  if (grid.some((size) => size > MAX_WORKGROUPS)) {
    throw new Error(
      `matrix product of ${m} x ${n}: ${grid.join(' x ')} workgroups, a dimension holds ${MAX_WORKGROUPS}`,
    );
  }
  return grid;
}

/** A short name of a tile, for kernels and checks. */
export const tileName = ({ variant, rows, rowWidth, columns, width, lanes }: Tile): string =>
  `${variant} ${rows}${rowWidth === 4 ? 'v' : ''}x${columns}${width === 4 ? 'v' : ''}x${lanes}`;
