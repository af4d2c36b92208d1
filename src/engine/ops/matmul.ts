/** Matrix products, single or in a batch. */
import { type MatmulShape } from '../../kernels/matmul.ts';
import { operation, onTape } from '../autograd.ts';
import { runMatmul } from '../matmul.ts';
import { elementCount, type Tensor } from '../tensor.ts';

export interface MatmulOptions {
  /** a is given transposed, as [.., K, M]. */
  transposeA?: boolean;
  /** b is given transposed, as [.., N, K]. */
  transposeB?: boolean;
}

type Saved = { a: Tensor; b: Tensor; shape: MatmulShape };

const matmulOperation = operation<Saved>('matmul', ({ dy, needs, into }, { a, b, shape }) => {
  const { gpu } = dy;
  const { M, N, K, am, ak, az, bk, bn, bz, cz, batch } = shape;
  const da = needs[0] ? into(0) : null;
  if (da) {
    // dA[m, k] = sum_n dy[m, n] B[k, n]
    const strides = { am: N, ak: 1, az: cz, bk: bn, bn: bk, bz, cm: am, cn: ak, cz: az };
    runMatmul(gpu, { a: dy, b, c: da.sum }, { M, N: K, K: N, ...strides, batch }, da.add ? 'accumulate' : 'assign');
  }
  const db = needs[1] ? into(1) : null;
  if (db) {
    // dB[k, n] = sum_m A[m, k] dy[m, n]
    const strides = { am: ak, ak: am, az, bk: N, bn: 1, bz: cz, cm: bk, cn: bn, cz: bz };
    runMatmul(gpu, { a, b: dy, c: db.sum }, { M: K, N, K: M, ...strides, batch }, db.add ? 'accumulate' : 'assign');
  }
  return [da && da.sum, db && db.sum];
});

/**
 * a b for every slice of the leading axes: a [.., M, K], b [.., K, N] with the same leading extents, or b [K, N] for all.
 * @returns [.., M, N]
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  const fail = (expected: string): never => {
    const turned = [transposeA && 'a', transposeB && 'b'].filter(Boolean).join(' and ');
    const what = `a has shape [${a.shape}], b has [${b.shape}]${turned && `, ${turned} transposed`}`;
    throw new Error(`matmul: ${what}; expected ${expected}`);
  };
  if (a.shape.length < 2 || b.shape.length < 2) fail('[.., M, K] and [.., K, N]');
  const leading = a.shape.slice(0, -2);
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [M, K] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [inner, N] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
  if (inner !== K) fail(`equal extents K, not ${K} and ${inner}`);
  const batch = elementCount(leading);
  const shared = b.shape.length === 2 && leading.length > 0;
  if (shared ? transposeA : b.shape.slice(0, -2).join() !== leading.join()) {
    fail(shared ? 'b with the leading axes of a where a is transposed' : 'equal leading axes');
  }
  // With one b for all slices, their rows together form a single product.
  const slices = shared ? { M: batch * M, batch: 1 } : { M, batch };
  const [am, ak] = transposeA ? [1, M] : [K, 1];
  const [bk, bn] = transposeB ? [1, K] : [N, 1];
  const strides = { am, ak, az: M * K, bk, bn, bz: K * N, cm: N, cn: 1, cz: M * N };
  const shape: MatmulShape = { ...slices, N, K, ...strides };
  const y = a.gpu.empty([...leading, M, N], 'f32', `matmul ${b.name}`);
  runMatmul(a.gpu, { a, b, c: y }, shape, 'assign');
  return onTape(matmulOperation, [a, b], y, { a, b, shape });
}
