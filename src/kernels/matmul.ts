/**
 * Matrix products with strides, one for each of `batch` slices:
 *
 *   c[c0 + z*cz + m*cm + n*cn] (+)= sum_k a[z*az + m*am + k*ak] b[z*bz + k*bk + n*bn]  (+ bias, ReLU)
 *
 * One kernel serves a linear layer forward (y = x w^T + bias) and both its gradients (dx = dy w, dw += dy^T x), a 1x1
 * convolution (a batch of images) and the products of Winograd's convolution (a batch of 16 or 36 points).
 *
 * Variants: `subgroup` and `register` of matmulCore.ts, in groups of one column or, where memory allows it
 * (`allowsVectors`), of four; and `workgroup`, the tiles in workgroup memory of workgroupCore.ts.
 */
import { type BufferSpec, kernel, memoize, type Kernel, type KernelBody } from './kernel.ts';
import { loadsOfA, matmulBody, matmulGrid, tileName, type Tile } from './matmulCore.ts';
import {
  type Fetch,
  matrixCursor,
  workgroupGrid,
  workgroupBody,
  type WorkgroupTile,
  workgroupTileName,
} from './workgroupCore.ts';
import { RELU_WGSL } from './relu.ts';
import { range } from './text.ts';

const UNIFORMS = {
  M: 'u32',
  N: 'u32',
  K: 'u32',
  am: 'u32',
  ak: 'u32',
  bk: 'u32',
  bn: 'u32',
  cm: 'u32',
  cn: 'u32',
  az: 'u32',
  bz: 'u32',
  cz: 'u32',
  c0: 'u32',
  batch: 'u32',
} as const;

export type MatmulShape = Record<keyof typeof UNIFORMS, number>;

/** What becomes of the result: assigned, assigned with a bias for each column or row, or added to c. */
export type MatmulEpilogue = 'assign' | 'bias' | 'rowBias' | 'accumulate';

export type MatmulTile = Tile | WorkgroupTile;

/** A single product that begins where c does, without slices: their strides are 0. */
export const matmulShape = (
  shape: Omit<MatmulShape, 'az' | 'bz' | 'cz' | 'c0' | 'batch'> & Partial<MatmulShape>,
): MatmulShape => ({ az: 0, bz: 0, cz: 0, c0: 0, batch: 1, ...shape });

/** Whether columns can be read four at a time: they lie side by side, every row at a multiple of 16 bytes. */
export const allowsVectors = ({ N, bn, bk, bz }: MatmulShape): boolean =>
  bn === 1 && [N, bk, bz].every((n) => n % 4 === 0);

/** The same for columns that are no multiple of four but lie in rows that are: what follows the last is read and dropped. */
export const allowsPaddedVectors = ({ N, bn, bk, bz }: MatmulShape): boolean =>
  bn === 1 && bk % 4 === 0 && bz % 4 === 0 && bk >= 4 * Math.ceil(N / 4);

/** Whether rows of a can be read four at a time, likewise. */
export const allowsRowVectors = ({ M, am, ak, az }: MatmulShape): boolean =>
  am === 1 && [M, ak, az].every((n) => n % 4 === 0);

/** Whether a result that is computed four columns at a time is also written four at a time. */
const writesVectors = ({ cn, cm, cz, c0 }: MatmulShape): boolean => cn === 1 && [cm, cz, c0].every((n) => n % 4 === 0);

/** How four columns are stored: as one vector, one by one, or one by one up to the last column. */
type Store = 'vector' | 'each' | 'partial';

const storeOf = (shape: MatmulShape): Store =>
  shape.N % 4 !== 0 ? 'partial' : writesVectors(shape) ? 'vector' : 'each';

/** How a workgroup tile fetches a factor. `vectors`: four rows (columns) are adjacent in memory. */
const fetchOf = (vectors: boolean, side: number, step: number): Fetch =>
  vectors ? 'vector' : step === 1 && side !== 1 ? 'k' : 'side';

/** How the operands of a product are fetched from memory, and whether its results are stored four at a time. */
export function workgroupAccess(shape: MatmulShape): { fetchA: Fetch; fetchB: Fetch; together: boolean } {
  const fetchA = fetchOf(allowsRowVectors(shape), shape.am, shape.ak);
  const fetchB = fetchOf(allowsVectors(shape), shape.bn, shape.bk);
  return { fetchA, fetchB, together: fetchB !== 'side' && shape.N % 4 === 0 && writesVectors(shape) };
}

/** The kernel for a shape. Buffers a, b, (bias,) c. `relu` is applied last, to an assigned result. */
export function matmul(tile: MatmulTile, shape: MatmulShape, epilogue: MatmulEpilogue, relu = false): Kernel {
  if (tile.variant !== 'workgroup') return tileKernel(tile, epilogue, relu, storeOf(shape));
  const { fetchA, fetchB, together } = workgroupAccess(shape);
  return workgroupKernel(tile, fetchA, fetchB, together, epilogue, relu);
}

/** The element type in a buffer's specification: vectors, or numbers. */
type Element = ' vec4f' | '';

const buffersOf = (
  epilogue: MatmulEpilogue,
  a: Element,
  b: Element,
  bias: Element,
  c: Element,
): Record<string, BufferSpec> =>
  ({
    a: `read${a}`,
    b: `read${b}`,
    ...(epilogue === 'bias' || epilogue === 'rowBias' ? { bias: `read${bias}` } : {}),
    c: `${epilogue === 'accumulate' ? 'read_write' : 'write'}${c}`,
  }) as Record<string, BufferSpec>;

const tileKernel = memoize((tile: Tile, epilogue: MatmulEpilogue, relu: boolean, store: Store): Kernel => {
  const together = store === 'vector';
  const element = tile.width === 4 ? ' vec4f' : '';
  const rowElement = tile.rowWidth === 4 ? ' vec4f' : '';
  return kernel({
    name: `matmul_${epilogue}${relu ? '_relu' : ''}`,
    buffers: buffersOf(epilogue, rowElement, element, epilogue === 'bias' ? element : '', together ? element : ''),
    uniforms: UNIFORMS,
    grid: ({ M, N, batch }) => matmulGrid(tile, M, N, batch),
    ...tileBody(tile, epilogue, relu, store),
  });
});

const workgroupKernel = memoize(
  (tile: WorkgroupTile, fetchA: Fetch, fetchB: Fetch, together: boolean, epilogue: MatmulEpilogue, relu: boolean) => {
    const vectorOf = (fetch: Fetch): Element => (fetch === 'vector' ? ' vec4f' : '');
    return kernel({
      name: `matmul_${epilogue}${relu ? '_relu' : ''}`,
      buffers: buffersOf(epilogue, vectorOf(fetchA), vectorOf(fetchB), '', together ? ' vec4f' : ''),
      uniforms: UNIFORMS,
      grid: ({ M, N, batch }) => workgroupGrid(tile, M, N, batch),
      ...workgroupBody(tile, {
        fetchA,
        fetchB,
        together,
        m: 'u.M',
        n: 'u.N',
        steps: 'u.K',
        declarations: [
          matrixCursor('a', {
            fetch: fetchA,
            base: 'slice * u.az',
            extent: 'u.M',
            side: 'u.am',
            step: 'u.ak',
            steps: 'u.K',
          }),
          matrixCursor('b', {
            fetch: fetchB,
            base: 'slice * u.bz',
            extent: 'u.N',
            side: 'u.bn',
            step: 'u.bk',
            steps: 'u.K',
          }),
          'fn column(n: u32) -> u32 { return n * u.cn; }',
          storeFunction(epilogue, relu, together),
        ].join('\n'),
      }),
    });
  },
);

/** The `store` of workgroupCore.ts. */
function storeFunction(epilogue: MatmulEpilogue, relu: boolean, together: boolean): string {
  const four = 'vec4f(bias[n], bias[n + 1u], bias[n + 2u], bias[n + 3u])';
  const bias = { assign: '', accumulate: '', bias: ` + ${together ? four : 'bias[n]'}`, rowBias: ' + bias[m]' }[
    epilogue
  ];
  const sum = `value${bias}`;
  const result = relu && epilogue !== 'accumulate' ? `${together ? 'relu4' : 'relu'}(${sum})` : sum;
  return `${relu ? RELU_WGSL : ''}fn store(slice: u32, m: u32, n: u32, column: u32, value: ${together ? 'vec4f' : 'f32'}) {
  c[(u.c0 + slice * u.cz + m * u.cm + column)${together ? ' / 4u' : ''}] ${epilogue === 'accumulate' ? '+=' : '='} ${result};
}`;
}

/** Statements that store `value` at row m, column n of slice z. */
function storeText(epilogue: MatmulEpilogue, relu: boolean, width: 1 | 4, store: Store): string {
  const by = width === 4 ? ' / 4u' : '';
  const bias = { assign: '', accumulate: '', bias: ` + bias[n${by}]`, rowBias: ' + bias[m]' }[epilogue];
  const sum = `value${bias}`;
  const rectified = relu && epilogue !== 'accumulate';
  const result = rectified ? `${width === 4 ? 'relu4' : 'relu'}(${sum})` : sum;
  const assign = epilogue === 'accumulate' ? '+=' : '=';
  const at = 'u.c0 + slice * u.cz + m * u.cm + n * u.cn';
  if (width === 1) return `c[${at}] ${assign} ${result};`;
  if (store === 'vector') return `c[(${at}) / 4u] ${assign} ${result};`;
  const condition = (i: number): string => (store === 'partial' ? `if (n + ${i}u < u.N) ` : '');
  return `let results4 = ${result};
      let first = ${at};
      ${range(4)
        .map((i) => `${condition(i)}{ c[first + ${i}u * u.cn] ${assign} results4.${'xyzw'[i]}; }`)
        .join('\n      ')}`;
}

function tileBody(tile: Tile, epilogue: MatmulEpilogue, relu: boolean, store: Store): KernelBody {
  const loads = range(loadsOfA(tile));
  const groups = range(tile.columns);
  const by = tile.width === 4 ? ' / 4u' : '';
  const rowBy = tile.rowWidth === 4 ? ' / 4u' : '';
  const lastColumn = tile.width === 4 ? '(u.N - 1u) / 4u * 4u' : 'u.N - 1u';
  return matmulBody(tile, {
    declarations: relu ? RELU_WGSL : '',
    m: 'u.M',
    n: 'u.N',
    setup: loads.map((i) => `var at${i} = (slice * u.az + row${i} * u.am)${rowBy};`).join('\n  '),
    column: (j) => `var bt${j} = (slice * u.bz + min(n${j}, ${lastColumn}) * u.bn)${by};`,
    loop: (body) => `let step = u.bk${by};
  let row_step = u.ak${rowBy};
  for (var k = 0u; k < u.K; k++) {
      ${body}
      ${loads.map((i) => `at${i} += row_step;`).join(' ')}
      ${groups.map((j) => `bt${j} += step;`).join(' ')}
  }`,
    a: (i) => `a[at${i}]`,
    b: (j) => `b[bt${j}]`,
    store: storeText(epilogue, relu, tile.width, store),
  });
}

export const matmulTileName = (tile: MatmulTile): string =>
  tile.variant === 'workgroup' ? workgroupTileName(tile) : tileName(tile);

export function matmulReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  c: ArrayLike<number>,
  shape: MatmulShape,
  epilogue: MatmulEpilogue,
  relu = false,
): Float64Array {
  const { M, N, K, am, ak, bk, bn, cm, cn, az, bz, cz, c0, batch } = shape;
  const result = Float64Array.from(c);
  for (let z = 0; z < batch; z++)
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let sum = epilogue === 'bias' ? bias![n]! : epilogue === 'rowBias' ? bias![m]! : 0;
        for (let k = 0; k < K; k++) sum += a[z * az + m * am + k * ak]! * b[z * bz + k * bk + n * bn]!;
        const at = c0 + z * cz + m * cm + n * cn;
        if (epilogue === 'accumulate') result[at]! += sum;
        else result[at] = relu ? Math.max(0, sum) : sum;
      }
  return result;
}
