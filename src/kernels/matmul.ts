/**
 * Matrix products with strides, one for each of `batch` slices:
 *
 *   c[z*cz + m*cm + n*cn] (+)= sum_k a[z*az + m*am + k*ak] b[z*bz + k*bk + n*bn]  (+ bias, ReLU)
 *
 * One kernel serves a linear layer forward (y = x w^T + bias) and both its gradients (dx = dy w, dw += dy^T x), a 1x1
 * convolution (a batch of images) and the products of Winograd's convolution (a batch of 16 or 36 points).
 *
 * Variants: `subgroup` and `register` of matmulCore.ts, in groups of one column or, where memory allows it
 * (`allowsVectors`), of four; and `workgroup`, tiles of 64 x 64 in workgroup memory for GPUs that have such memory in
 * hardware: 256 invocations of 4 x 4 results, 16 steps of k a round, so that a value is fetched once for 64 results.
 */
import { type BufferSpec, ceilDiv, kernel, memoize, type Grid, type Kernel } from './kernel.ts';
import { loadsOfA, matmulEnable, matmulGrid, matmulShader, range, tileName, type Tile } from './matmulCore.ts';

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
  batch: 'u32',
} as const;

export type MatmulShape = Record<keyof typeof UNIFORMS, number>;

/** What becomes of the result: assigned, assigned with a bias for each column or row, or added to c. */
export type MatmulEpilogue = 'assign' | 'bias' | 'rowBias' | 'accumulate';

export interface WorkgroupTile {
  readonly variant: 'workgroup';
}
export type MatmulTile = Tile | WorkgroupTile;

/** Rows and columns of a tile in workgroup memory. */
export const SIDE = 64;
/** Its steps of k a round. */
const DEPTH = 16;
/** Vectors of four rows (columns) of one k, and one more: fetched along k, neighbours then write to different banks. */
const ROW = SIDE / 4 + 1;

/** One product, without slices, from the strides that matter. */
export const matmulShape = (
  shape: Omit<MatmulShape, 'az' | 'bz' | 'cz' | 'batch'> & Partial<MatmulShape>,
): MatmulShape => ({ az: 0, bz: 0, cz: 0, batch: 1, ...shape });

/** Whether columns can be read four at a time: they lie side by side, every row at a multiple of 16 bytes. */
export const allowsVectors = ({ N, bn, bk, bz }: MatmulShape): boolean =>
  bn === 1 && [N, bk, bz].every((n) => n % 4 === 0);

/** Whether rows of a can be read four at a time, likewise. */
export const allowsRowVectors = ({ M, am, ak, az }: MatmulShape): boolean =>
  am === 1 && [M, ak, az].every((n) => n % 4 === 0);

/** Whether the columns of a result that is computed four columns at a time are written so. */
const writesVectors = ({ cn, cm, cz }: MatmulShape): boolean => cn === 1 && cm % 4 === 0 && cz % 4 === 0;

/** The kernel for a shape. Buffers a, b, (bias,) c. `relu` is applied last, to an assigned result. */
export const matmul = (tile: MatmulTile, shape: MatmulShape, epilogue: MatmulEpilogue, relu = false): Kernel =>
  matmulKernel(tile, epilogue, relu, writesVectors(shape));

const matmulKernel = memoize((tile: MatmulTile, epilogue: MatmulEpilogue, relu: boolean, together: boolean): Kernel => {
  const biased = epilogue === 'bias' || epilogue === 'rowBias';
  const vectors = tile.variant !== 'workgroup' && tile.width === 4;
  const element = vectors ? ' vec4f' : '';
  const rowElement = tile.variant !== 'workgroup' && tile.rowWidth === 4 ? ' vec4f' : '';
  return kernel({
    name: `matmul_${epilogue}${relu ? '_relu' : ''}`,
    ...(tile.variant === 'workgroup' ? {} : { enable: matmulEnable(tile) }),
    buffers: {
      a: `read${rowElement}`,
      b: `read${element}`,
      ...(biased ? { bias: epilogue === 'bias' ? `read${element}` : 'read' } : {}),
      c: `${epilogue === 'accumulate' ? 'read_write' : 'write'}${together ? element : ''}`,
    } as Record<string, BufferSpec>,
    uniforms: UNIFORMS,
    grid: (u) => gridOf(tile, u),
    wgsl: tile.variant === 'workgroup' ? workgroupShader(epilogue, relu) : tileShader(tile, epilogue, relu, together),
  });
});

/** Statements that store `value` at row m, column n of slice z; a vector `together` or one after the other. */
function storeText(epilogue: MatmulEpilogue, relu: boolean, width: 1 | 4, together: boolean): string {
  const by = width === 4 ? ' / 4u' : '';
  const bias = { assign: '', accumulate: '', bias: ` + bias[n${by}]`, rowBias: ' + bias[m]' }[epilogue];
  const sum = `value${bias}`;
  const rectified = relu && epilogue !== 'accumulate';
  const result = rectified ? `max(${sum}, ${width === 4 ? 'vec4f()' : '0.0'})` : sum;
  const assign = epilogue === 'accumulate' ? '+=' : '=';
  const at = 'slice * u.cz + m * u.cm + n * u.cn';
  if (width === 1 || together) return `c[(${at})${by}] ${assign} ${result};`;
  return `let result = ${result};
      let first = ${at};
      ${range(4)
        .map((i) => `c[first + ${i}u * u.cn] ${assign} result.${'xyzw'[i]};`)
        .join(' ')}`;
}

function tileShader(tile: Tile, epilogue: MatmulEpilogue, relu: boolean, together: boolean): string {
  const loads = range(loadsOfA(tile));
  const groups = range(tile.columns);
  const by = tile.width === 4 ? ' / 4u' : '';
  const rowBy = tile.rowWidth === 4 ? ' / 4u' : '';
  return matmulShader(tile, {
    m: 'u.M',
    n: 'u.N',
    setup: loads.map((i) => `var at${i} = (slice * u.az + row${i} * u.am)${rowBy};`).join('\n  '),
    column: (j) => `var bt${j} = (slice * u.bz + min(n${j}, u.N - ${tile.width}u) * u.bn)${by};`,
    loop: (body) => `let step = u.bk${by};
  let row_step = u.ak${rowBy};
  for (var k = 0u; k < u.K; k++) {
      ${body}
      ${loads.map((i) => `at${i} += row_step;`).join(' ')}
      ${groups.map((j) => `bt${j} += step;`).join(' ')}
  }`,
    a: (row) => `a[${row.replace('row', 'at')}]`,
    b: (j) => `b[bt${j}]`,
    store: storeText(epilogue, relu, tile.width, together),
  });
}

/**
 * An invocation fetches four neighbours along m (n) of one k, and computes 4 x 4 results of two vectors from workgroup memory
 * at each k. Which k and which four it fetches follows memory, so that neighbouring invocations touch neighbouring addresses:
 * along k where ak (bk) is 1, else along m (n).
 */
function workgroupShader(epilogue: MatmulEpilogue, relu: boolean): string {
  const fetch = (name: 'a' | 'b', side: 'm' | 'n', extent: string) => `
    {
      let along_k = u.${name}k == 1u;
      let k = select(lane / 16u, lane % 16u, along_k);
      let four = select(lane % 16u, lane / 16u, along_k);
      let ${side} = first_${side} + 4u * four;
      let at = slice * u.${name}z + ${side} * u.${name}${side} + (round + k) * u.${name}k;
      var values = vec4f();
      if (round + k < u.K) {
        ${range(4)
          .map(
            (i) => `if (${side} + ${i}u < ${extent}) { values.${'xyzw'[i]} = ${name}[at + ${i}u * u.${name}${side}]; }`,
          )
          .join('\n        ')}
      }
      tile_${name}[k * ${ROW}u + four] = values;
    }`;
  const step = (k: number): string => `{
      let a = tile_a[${k * ROW}u + row];
      let b = tile_b[${k * ROW}u + column];
      ${range(4)
        .map((i) => `sum${i} = fma(vec4f(a.${'xyzw'[i]}), b, sum${i});`)
        .join(' ')}
    }`;
  return /* wgsl */ `
var<workgroup> tile_a: array<vec4f, ${ROW * DEPTH}>;
var<workgroup> tile_b: array<vec4f, ${ROW * DEPTH}>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_n = group.x * ${SIDE}u;
  let first_m = group.y * ${SIDE}u;
  let slice = group.z;
  let column = lane % 16u;
  let row = lane / 16u;
  ${range(4)
    .map((i) => `var sum${i} = vec4f();`)
    .join(' ')}
  for (var round = 0u; round < u.K; round += ${DEPTH}u) {${fetch('a', 'm', 'u.M')}${fetch('b', 'n', 'u.N')}
    workgroupBarrier();
    ${range(DEPTH).map(step).join('\n    ')}
    workgroupBarrier();
  }
  var sums = array<vec4f, 4>(sum0, sum1, sum2, sum3);
  for (var i = 0u; i < 4u; i++) {
    let m = first_m + row * 4u + i;
    for (var j = 0u; j < 4u; j++) {
      let n = first_n + column * 4u + j;
      if (m >= u.M || n >= u.N) { continue; }
      let value = sums[i][j];
      ${storeText(epilogue, relu, 1, true)}
    }
  }
}`;
}

function gridOf(tile: MatmulTile, { M, N, batch }: MatmulShape): Grid {
  if (tile.variant !== 'workgroup') return matmulGrid(tile, M, N, batch);
  return [ceilDiv(N, SIDE), ceilDiv(M, SIDE), batch];
}

export const matmulTileName = (tile: MatmulTile): string =>
  tile.variant === 'workgroup' ? 'workgroup 64x64' : tileName(tile);

export function matmulReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  c: ArrayLike<number>,
  shape: MatmulShape,
  epilogue: MatmulEpilogue,
  relu = false,
): Float64Array {
  const { M, N, K, am, ak, bk, bn, cm, cn, az, bz, cz, batch } = shape;
  const result = Float64Array.from(c);
  for (let z = 0; z < batch; z++)
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let sum = epilogue === 'bias' ? bias![n]! : epilogue === 'rowBias' ? bias![m]! : 0;
        for (let k = 0; k < K; k++) sum += a[z * az + m * am + k * ak]! * b[z * bz + k * bk + n * bn]!;
        const at = z * cz + m * cm + n * cn;
        if (epilogue === 'accumulate') result[at]! += sum;
        else result[at] = relu ? Math.max(0, sum) : sum;
      }
  return result;
}
