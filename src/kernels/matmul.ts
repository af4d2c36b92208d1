/**
 * Matrix product with strides:   c[m*cm + n*cn] (+)= sum_k a[m*am + k*ak] b[k*bk + n*bn]  (+ bias[n])
 * One kernel serves a linear layer forward (y = x w^T + bias) and both its gradients (dx = dy w, dw += dy^T x).
 */
import { type BufferSpec, kernel, memoize, type Kernel } from './kernel.ts';
import { matmulEnable, matmulGrid, matmulShader, type Tile } from './matmulCore.ts';

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
} as const;

export type MatmulShape = Record<keyof typeof UNIFORMS, number>;
/** What the result does to c: assign it, assign it with a bias for each column, or add to c. */
export type MatmulEpilogue = 'assign' | 'bias' | 'accumulate';

const build = memoize(
  (epilogue: MatmulEpilogue, rows: number, columns: number, lanes: number, subgroup: boolean): Kernel => {
    const tile = { rows, columns, lanes, subgroup };
    const loads = Array.from({ length: subgroup ? Math.ceil(rows / lanes) : rows }, (_, i) => i);
    const columnList = Array.from({ length: columns }, (_, j) => j);
    return kernel({
      name: `matmul_${epilogue}`,
      enable: matmulEnable(tile),
      buffers: {
        a: 'read',
        b: 'read',
        ...(epilogue === 'bias' ? { bias: 'read' } : {}),
        c: epilogue === 'accumulate' ? 'read_write' : 'write',
      } as Record<string, BufferSpec>,
      uniforms: UNIFORMS,
      grid: (u) => matmulGrid(tile, u.M, u.N),
      wgsl: matmulShader(tile, {
        m: 'u.M',
        n: 'u.N',
        setup: loads.map((i) => `var at${i} = row${i} * u.am;`).join('\n  '),
        column: (j) => `var bt${j} = min(n${j}, u.N - 1u) * u.bn;`,
        loop: (body) => `for (var k = 0u; k < u.K; k++) {
      ${body}
      ${loads.map((i) => `at${i} += u.ak;`).join(' ')}
      ${columnList.map((j) => `bt${j} += u.bk;`).join(' ')}
  }`,
        a: (row) => `a[${row.replace('row', 'at')}]`,
        b: (j) => `b[bt${j}]`,
        store: `c[m * u.cm + n * u.cn] ${epilogue === 'accumulate' ? '+=' : '='} value${epilogue === 'bias' ? ' + bias[n]' : ''};`,
      }),
    });
  },
);

/** Buffers a, b, (bias,) c. */
export const matmul = (tile: Tile, epilogue: MatmulEpilogue): Kernel =>
  build(epilogue, tile.rows, tile.columns, tile.lanes, tile.subgroup);

export function matmulReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  c: ArrayLike<number> | null,
  shape: MatmulShape,
): Float64Array {
  const { M, N, K, am, ak, bk, bn, cm, cn } = shape;
  const result = c ? Float64Array.from(c) : new Float64Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = bias ? bias[n]! : 0;
      for (let k = 0; k < K; k++) sum += a[m * am + k * ak]! * b[k * bk + n * bn]!;
      result[m * cm + n * cn]! += sum;
    }
  return result;
}
