/**
 * The matrix-product core for GPUs whose cores have workgroup memory in hardware:
 *
 *   C[m, n] = sum_k A(m, k) B(k, n)
 *
 * A workgroup computes a tile of `rows` x `columns` results, an invocation `rowsEach` x `columnsEach` of them in registers.
 * The sum advances in stages of `depth` steps: the invocations fetch what the next stage needs while they compute the
 * present one, and workgroup memory holds both, so one barrier per stage is enough.
 *
 * Workgroup memory holds vectors of four rows (columns) of one k. The four are side by side in memory where they are loaded
 * or stored as a vector, otherwise a quarter of the tile apart, so that neighbouring invocations touch neighbouring addresses.
 * Eight invocations along n and four along m share a subgroup of 32 and read 8 + 4 distinct vectors, each from banks of its own.
 *
 * An operation supplies its operands as WGSL functions on a cursor, a place in A or B that moves from stage to stage, so that an
 * im2col matrix is only an address computation, and divisions happen once per tile. Every result is one chain of fused
 * multiply-adds over ascending k, as in matmulCore.ts: no choice of tile changes its bits.
 */
import { ceilDiv, type Grid, type KernelBody, MAX_WORKGROUPS } from './kernel.ts';
import { range } from './text.ts';

export interface WorkgroupTile {
  readonly variant: 'workgroup';
  readonly rows: number;
  readonly columns: number;
  readonly rowsEach: 4 | 8;
  readonly columnsEach: 4 | 8;
  /** Steps of k in a stage. */
  readonly depth: 8 | 16;
}

/**
 * How an operand is fetched: `vector`, four neighbours along m (n) at once; `side`, along m (n) one by one; `k`, along k.
 * Neighbouring invocations follow the same axis.
 */
export type Fetch = 'vector' | 'side' | 'k';

type Factor = 'a' | 'b';

/** The WGSL that an operation supplies. */
export interface WorkgroupText {
  fetchA: Fetch;
  fetchB: Fetch;
  /** Whether four neighbouring results of a row are stored at once: then N is a multiple of 4, and B is not fetched by `side`. */
  together: boolean;
  /** Expressions: M, N, and the steps of k in the current `slice`; the last must be uniform. */
  m: string;
  n: string;
  steps: string;
  /**
   * Declarations, for A (and likewise `CursorB`, ... for B, with columns n instead of rows m):
   *
   *   struct CursorA                                          a place in A; any fields
   *   fn begin_a(slice: u32, m: vec4u, k: u32) -> CursorA     rows m, step k of the slice; rows may lie beyond M
   *   fn fetch_a(at: CursorA) -> vec4f                        A at four rows, 0 where k is beyond the last step
   *   fn next_a(at: CursorA) -> CursorA                       `DEPTH` steps on
   *   fn column(n: u32) -> u32                                what `store` needs of a column, computed once for all rows
   *   fn store(slice: u32, m: u32, n: u32, column: u32, value: f32 or, together, vec4f)
   */
  declarations: string;
}

/** Invocations of a block along m and n: 32 neighbours read four vectors of A and eight of B. */
const BLOCK = { rows: 4, columns: 8 } as const;

/** Invocations of a workgroup. */
export const invocationsOf = ({ rows, columns, rowsEach, columnsEach }: WorkgroupTile): number =>
  (rows / rowsEach) * (columns / columnsEach);

/** Vectors from one k to the next. Invocations along k write a column of them: one more keeps their banks apart. */
const pitch = (extent: number, fetch: Fetch): number => extent / 4 + (fetch === 'k' ? 1 : 0);

/** Bytes of workgroup memory. */
export const workgroupBytes = ({ rows, columns, depth }: WorkgroupTile, fetchA: Fetch, fetchB: Fetch): number =>
  2 * depth * 16 * (pitch(rows, fetchA) + pitch(columns, fetchB));

/** Vectors of an operand that an invocation fetches in a stage. */
export const fetchesOf = (tile: WorkgroupTile, extent: number): number =>
  ceilDiv((extent / 4) * tile.depth, invocationsOf(tile));

/**
 * Results of an invocation times steps of k that are unrolled in the text. GPU drivers unroll the rest as they see fit;
 * software adapters would take ten seconds to compile all steps of a stage.
 */
const UNROLLED_RESULTS = 128;

const lines = (n: number, line: (i: number) => string): string => range(n).map(line).join('\n  ');
const XYZW = ['x', 'y', 'z', 'w'] as const;

/** One operand's part of the shader: its workgroup memory, and the statements that fill it. */
function operand(tile: WorkgroupTile, name: Factor, extent: number, fetch: Fetch, adjacent: boolean) {
  const vectors = extent / 4;
  const row = pitch(extent, fetch);
  const invocations = invocationsOf(tile);
  const slots = fetchesOf(tile, extent);
  /** If the last slot has fewer vectors than there are invocations, the remaining ones fetch nothing. */
  const partial = (vectors * tile.depth) % invocations !== 0;
  const guard = (slot: number, statement: string): string =>
    partial && slot === slots - 1 ? `if (has_${name}) { ${statement} }` : statement;
  const first = name === 'a' ? 'first_m' : 'first_n';
  const place = (slot: number): string => {
    const index = `(lane + ${slot * invocations}u)`;
    const [vector, k] =
      fetch === 'k'
        ? [`${index} / ${tile.depth}u`, `${index} % ${tile.depth}u`]
        : [`${index} % ${vectors}u`, `${index} / ${vectors}u`];
    return `let vector_${name}${slot} = ${vector};
  let k_${name}${slot} = ${k};
  let put_${name}${slot} = k_${name}${slot} * ${row}u + vector_${name}${slot};
  var at_${name}${slot} = begin_${name}(slice, ${first} + four_${name}(vector_${name}${slot}), k_${name}${slot});
  var next_${name}${slot} = fetch_${name}(at_${name}${slot});`;
  };
  return {
    stage: tile.depth * row,
    row,
    declarations: `var<workgroup> stage_${name}: array<vec4f, ${2 * tile.depth * row}>;
// The four places within the tile that make up a vector.
fn four_${name}(vector: u32) -> vec4u { return ${
      adjacent
        ? '4u * vector + vec4u(0u, 1u, 2u, 3u)'
        : `vector + vec4u(0u, ${vectors}u, ${2 * vectors}u, ${3 * vectors}u)`
    }; }`,
    begin: [
      ...(partial ? [`let has_${name} = lane + ${(slots - 1) * invocations}u < ${vectors * tile.depth}u;`] : []),
      ...range(slots).map(place),
    ].join('\n  '),
    advance: lines(slots, (i) =>
      guard(i, `at_${name}${i} = next_${name}(at_${name}${i}); next_${name}${i} = fetch_${name}(at_${name}${i});`),
    ),
    put: (stage: string): string =>
      lines(slots, (i) => guard(i, `stage_${name}[${stage} + put_${name}${i}] = next_${name}${i};`)),
  };
}

export function workgroupBody(tile: WorkgroupTile, text: WorkgroupText): KernelBody {
  const { rows, columns, rowsEach, columnsEach, depth } = tile;
  const { fetchA, fetchB, together } = text;
  const a = operand(tile, 'a', rows, fetchA, fetchA === 'vector');
  const b = operand(tile, 'b', columns, fetchB, fetchB === 'vector' || together);
  const [across, down] = [columns / columnsEach, rows / rowsEach];
  const rowVectors = range(rowsEach / 4);
  const columnVectors = range(columnsEach / 4);
  const results = range(rowsEach).flatMap((i) => columnVectors.map((j) => ({ i, j })));
  const sum = (i: number, j: number): string => `sum${i}_${j}`;
  const unrolled = Math.min(depth, UNROLLED_RESULTS / (rowsEach * columnsEach));
  const step = (k: number): string => `{
        ${rowVectors.map((v) => `let a${v} = stage_a[read_a + ${k * a.row + v * down}u];`).join(' ')}
        ${columnVectors.map((v) => `let b${v} = stage_b[read_b + ${k * b.row + v * across}u];`).join(' ')}
        ${results.map(({ i, j }) => `${sum(i, j)} = fma(vec4f(a${i >> 2}.${XYZW[i % 4]}), b${j}, ${sum(i, j)});`).join('\n        ')}
      }`;
  const stores = range(rowsEach).map((i) => {
    const values = columnVectors.flatMap((j) =>
      together
        ? [`if (n${j}.x < ${text.n}) { store(slice, m, n${j}.x, c${j}.x, ${sum(i, j)}); }`]
        : XYZW.map(
            (x) => `if (n${j}.${x} < ${text.n}) { store(slice, m, n${j}.${x}, c${j}.${x}, ${sum(i, j)}.${x}); }`,
          ),
    );
    return `m = first_m + rows${i >> 2}.${XYZW[i % 4]};
  if (m < ${text.m}) {
    ${values.join('\n    ')}
  }`;
  });
  const place = (x: string, j: number): string => (together && x !== 'x' ? '0u' : `column(n${j}.${x})`);
  return {
    lanes: invocationsOf(tile),
    functions: /* wgsl */ `
const DEPTH = ${depth}u;
${text.declarations}
${a.declarations}
${b.declarations}`,
    body: /* wgsl */ `
  let first_n = group.x * ${columns}u;
  let first_m = group.y * ${rows}u;
  let slice = group.z;
  let block = lane / 32u;
  let row = block / ${across / BLOCK.columns}u * ${BLOCK.rows}u + lane % 32u / ${BLOCK.columns}u;
  let column_of_lane = block % ${across / BLOCK.columns}u * ${BLOCK.columns}u + lane % ${BLOCK.columns}u;
  ${results.map(({ i, j }) => `var ${sum(i, j)} = vec4f();`).join(' ')}
  ${a.begin}
  ${b.begin}
  ${a.put('0u')}
  ${b.put('0u')}
  workgroupBarrier();
  let stages = (${text.steps} + DEPTH - 1u) / DEPTH;
  for (var stage = 0u; stage < stages; stage++) {
    // Beyond the last step this fetches zeros, which are never read.
    ${a.advance}
    ${b.advance}
    var read_a = stage % 2u * ${a.stage}u + row;
    var read_b = stage % 2u * ${b.stage}u + column_of_lane;
    for (var k = 0u; k < DEPTH; k += ${unrolled}u) {
      ${range(unrolled).map(step).join('\n      ')}
      read_a += ${unrolled * a.row}u;
      read_b += ${unrolled * b.row}u;
    }
    let write_a = (stage + 1u) % 2u * ${a.stage}u;
    let write_b = (stage + 1u) % 2u * ${b.stage}u;
    ${a.put('write_a')}
    ${b.put('write_b')}
    workgroupBarrier();
  }
  ${rowVectors.map((v) => `let rows${v} = four_a(row + ${v * down}u);`).join('\n  ')}
  ${columnVectors
    .map(
      (v) => `let n${v} = first_n + four_b(column_of_lane + ${v * across}u);
  let c${v} = vec4u(${XYZW.map((x) => place(x, v)).join(', ')});`,
    )
    .join('\n  ')}
  var m = 0u;
  ${stores.join('\n  ')}`,
  };
}

/** A cursor of a matrix that lies in memory with strides: WGSL for `CursorA` or `CursorB`. */
export function matrixCursor(
  name: Factor,
  { buffer = name, fetch, base, extent, side, step, steps }: MatrixText,
): string {
  const upper = name.toUpperCase();
  if (fetch === 'vector') {
    return `struct Cursor${upper} { at: u32, k: u32 }
fn begin_${name}(slice: u32, place: vec4u, k: u32) -> Cursor${upper} {
  return Cursor${upper}((${base} + min(place.x, ${extent} - 4u) + k * ${step}) / 4u, k);
}
fn fetch_${name}(from_here: Cursor${upper}) -> vec4f {
  if (from_here.k >= ${steps}) { return vec4f(); }
  return ${buffer}[from_here.at];
}
fn next_${name}(from_here: Cursor${upper}) -> Cursor${upper} {
  return Cursor${upper}(from_here.at + DEPTH * ${step} / 4u, from_here.k + DEPTH);
}`;
  }
  return `struct Cursor${upper} { at: vec4u, k: u32 }
fn begin_${name}(slice: u32, place: vec4u, k: u32) -> Cursor${upper} {
  return Cursor${upper}(${base} + min(place, vec4u(${extent} - 1u)) * ${side} + k * ${step}, k);
}
fn fetch_${name}(from_here: Cursor${upper}) -> vec4f {
  if (from_here.k >= ${steps}) { return vec4f(); }
  let at = from_here.at;
  return vec4f(${XYZW.map((x) => `${buffer}[at.${x}]`).join(', ')});
}
fn next_${name}(from_here: Cursor${upper}) -> Cursor${upper} {
  return Cursor${upper}(from_here.at + DEPTH * ${step}, from_here.k + DEPTH);
}`;
}

export interface MatrixText {
  /** The buffer's name; of vec4f where the matrix is fetched by vectors. Default: `name`. */
  buffer?: string;
  fetch: Fetch;
  /** Expressions: of the slice's first element, the extent along m (n), the strides along it and along k, the steps of k. */
  base: string;
  extent: string;
  side: string;
  step: string;
  steps: string;
}

/** Workgroups for M x N results; the third dimension is the operation's (its batch, or its splits of k). */
export function workgroupGrid({ rows, columns }: WorkgroupTile, m: number, n: number, slices = 1): Grid {
  const grid: Grid = [ceilDiv(n, columns), ceilDiv(m, rows), slices];
  if (grid.some((size) => size > MAX_WORKGROUPS)) {
    throw new Error(
      `matrix product of ${m} x ${n}: ${grid.join(' x ')} workgroups, a dimension holds ${MAX_WORKGROUPS}`,
    );
  }
  return grid;
}

/** 'workgroup 128x128 8x8 d8', for the names of kernels and checks. */
export const workgroupTileName = ({ rows, columns, rowsEach, columnsEach, depth }: WorkgroupTile): string =>
  `workgroup ${rows}x${columns} ${rowsEach}x${columnsEach} d${depth}`;
