/**
 * The matrix-product core that convolution (forward, input gradient, filter gradient) and linear layers share.
 *
 *   C[m, n] = sum_k A(m, k) B(k, n)
 *
 * A workgroup computes a tile of `rows` x (`lanes` * `columns`) results. Every lane owns `columns` columns, `lanes`
 * apart so that neighbouring lanes touch neighbouring addresses, and keeps rows x columns sums in registers; there is
 * no workgroup memory and no barrier. The two variants differ in how the `rows` values of A reach all lanes:
 *
 *   subgroup   the workgroup is one subgroup: a lane loads the rows lane, lane + lanes, ... and broadcasts them, so a
 *              step costs rows / lanes + columns loads for rows * columns multiply-adds per lane
 *   register   every lane loads all rows (a uniform address): rows + columns loads; works on every adapter
 *
 * What A, B and C are is text: an operation gives the loop nest over k and the expressions to load and store, so an
 * im2col matrix is only ever an address computation. Sums run over k in loop order: the result does not depend on the
 * device's scheduling.
 */
import type { Grid } from './kernel.ts';
import { ceilDiv, MAX_WORKGROUPS } from './kernel.ts';

export interface Tile {
  rows: number;
  /** Columns per lane. */
  columns: number;
  lanes: number;
  subgroup: boolean;
}

/** The text an operation supplies. Indices are u32 expressions; `j` and `i` are literals. */
export interface MatmulText {
  /** Module-scope declarations. */
  declarations?: string;
  /** Statements before the sums, run once: may use `tile_m`, `tile_n`, `split`, `row(i)`s are not yet known. */
  setup?: string;
  /** Per-column statements, run once for every column j; the column's index is `n${j}`. */
  column?: (j: number) => string;
  /** The loop nest over k around the given innermost body. */
  loop: (body: string) => string;
  /** A(m, k) for the row index expression m. */
  a: (m: string) => string;
  /** B(k, n) for column j. */
  b: (j: number) => string;
  /** Statements that store `value` at row `m`, column `n` (all variables); bounds have been checked. */
  store: string;
  /** Expressions of M and N. */
  m: string;
  n: string;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export function matmulShader(tile: Tile, text: MatmulText): string {
  const { rows, columns, lanes, subgroup } = tile;
  const perColumn = (line: (j: number) => string): string => range(columns).map(line).join('\n  ');
  const loads = subgroup ? ceilDiv(rows, lanes) : rows;
  const rowOf = (i: number): string =>
    subgroup
      ? `min(tile_m * ${rows}u + ${i * lanes}u + lane, ${text.m} - 1u)`
      : `min(tile_m * ${rows}u + ${i}u, ${text.m} - 1u)`;
  const value = (i: number): string =>
    subgroup ? `subgroupBroadcast(a${Math.floor(i / lanes)}, ${i % lanes}u)` : `a${i}`;
  const body = [
    ...range(loads).map((i) => `let a${i} = ${text.a(`row${i}`)};`),
    ...range(columns).map((j) => `let b${j} = ${text.b(j)};`),
    ...range(rows).flatMap((i) => [
      `let v${i} = ${value(i)};`,
      ...range(columns).map((j) => `c${i}_${j} = fma(v${i}, b${j}, c${i}_${j});`),
    ]),
  ].join('\n      ');
  return /* wgsl */ `${text.declarations ?? ''}
@compute @workgroup_size(${lanes})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(${subgroup ? 'subgroup_invocation_id' : 'local_invocation_index'}) lane: u32,
) {
  let tile_n = group.x;
  let tile_m = group.y;
  let split = group.z;
  ${perColumn((j) => `let n${j} = tile_n * ${lanes * columns}u + ${j * lanes}u + lane;`)}
  ${range(loads)
    .map((i) => `let row${i} = ${rowOf(i)};`)
    .join('\n  ')}
  ${text.setup ?? ''}
  ${text.column ? perColumn(text.column) : ''}
  ${range(rows)
    .map((i) => perColumn((j) => `var c${i}_${j} = 0.0;`))
    .join('\n  ')}
  ${text.loop(body)}
  // One store in a loop, not one for every sum: on software adapters a scatter is long code and dominates compilation.
  var results = array<f32, ${rows * columns}>(${range(rows)
    .flatMap((i) => range(columns).map((j) => `c${i}_${j}`))
    .join(', ')});
  for (var j = 0u; j < ${columns}u; j++) {
    let n = tile_n * ${lanes * columns}u + j * ${lanes}u + lane;
    if (n >= ${text.n}) { break; }
    for (var i = 0u; i < ${rows}u; i++) {
      let m = tile_m * ${rows}u + i;
      if (m >= ${text.m}) { break; }
      let value = results[i * ${columns}u + j];
      ${text.store}
    }
  }
}`;
}

export const matmulEnable = (tile: Tile): string => (tile.subgroup ? 'enable subgroups;' : '');

/** Workgroups for M x N results; the third dimension is the operation's (its splits of k). */
export function matmulGrid(tile: Tile, m: number, n: number, splits = 1): Grid {
  const grid: Grid = [ceilDiv(n, tile.lanes * tile.columns), ceilDiv(m, tile.rows), splits];
  if (grid.some((size) => size > MAX_WORKGROUPS)) {
    throw new Error(
      `matrix product of ${m} x ${n}: ${grid.join(' x ')} workgroups, a dimension holds ${MAX_WORKGROUPS}`,
    );
  }
  return grid;
}
