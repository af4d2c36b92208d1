/** Matrix products, single or in a batch. */
import { matmulShape, type MatmulShape } from '../../kernels/matmul.ts';
import { operation, onTape } from '../autograd.ts';
import type { Gpu } from '../gpu.ts';
import { runMatmul } from '../matmul.ts';
import { broadcastShape, runSum } from '../repetition.ts';
import { elementCount, type Shape, type Tensor } from '../tensor.ts';
import { broadcastTo } from './broadcastTo.ts';

export interface MatmulOptions {
  /** a is given transposed, as [.., K, M]. */
  transposeA?: boolean;
  /** b is given transposed, as [.., N, K]. */
  transposeB?: boolean;
}

type Saved = { a: Tensor; b: Tensor; shape: MatmulShape } & Required<MatmulOptions>;

/** A gradient of slices that are all computed from one matrix, whose stride is 0: the sum of theirs. */
function sharedGradient(gpu: Gpu, size: Shape, batch: number, run: (slices: Tensor) => void): Tensor {
  const slices = gpu.empty([batch, ...size], 'f32', 'gradients of the slices');
  run(slices);
  const sum = gpu.empty(size, 'f32', 'dx matmul');
  runSum(slices, sum, [true, ...size.map(() => false)]);
  slices.dispose();
  return sum;
}

export const matmulOperation = operation<Saved>('matmul', ({ dy, needs, into }, { a, b, shape }) => {
  const { gpu } = dy;
  const { M, N, K, am, ak, az, bk, bn, bz, cz, batch } = shape;
  // dA[m, k] = sum_n dy[m, n] B[k, n]
  const left = { M, N: K, K: N, am: N, ak: 1, az: cz, bk: bn, bn: bk, bz, cm: am, cn: ak, c0: 0, batch };
  // dB[k, n] = sum_m A[m, k] dy[m, n]
  const right = { M: K, N, K: M, am: ak, ak: am, az, bk: N, bn: 1, bz: cz, cm: bk, cn: bn, c0: 0, batch };
  return [
    { input: a, other: { a: dy, b }, product: { ...left, cz: az } },
    { input: b, other: { a, b: dy }, product: { ...right, cz: bz } },
  ].map(({ input, other, product }, i) => {
    if (!needs[i]) return null;
    if (batch !== 1 && product.cz === 0) {
      return sharedGradient(gpu, input.shape, batch, (c) =>
        runMatmul(gpu, { ...other, c }, { ...product, cz: input.size }, 'assign'),
      );
    }
    const target = into(i);
    runMatmul(gpu, { ...other, c: target.sum }, product, target.add ? 'accumulate' : 'assign');
    return target.sum;
  });
});

/**
 * a b for every slice of the leading axes: a [.., M, K], b [.., K, N], either transposed. Leading axes are repeated to one shape as
 * in NumPy; a matrix without any serves all slices.
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
  const [leadingA, leadingB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [M, K] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [inner, N] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
  if (inner !== K) fail(`equal extents K, not ${K} and ${inner}`);
  const leading = broadcastShape(leadingA, leadingB) ?? fail('leading axes that are equal or 1');
  const batch = elementCount(leading);
  // A factor that is repeated along some leading axes only is repeated in memory; one for all slices has a stride of 0.
  const whole = (x: Tensor): Tensor =>
    [1, batch].includes(elementCount(x.shape.slice(0, -2))) ? x : broadcastTo(x, [...leading, ...x.shape.slice(-2)]);
  const [left, right] = [whole(a), whole(b)];
  const stride = (x: Tensor, size: number): number => (batch !== 1 && x.size === size ? 0 : size);
  const [az, bz] = [stride(left, M * K), stride(right, K * N)];
  // With one b for all slices, their rows together form a single product.
  const slices = bz === 0 && az > 0 && !transposeA ? { M: batch * M, batch: 1 } : { M, batch };
  const [am, ak] = transposeA ? [1, M] : [K, 1];
  const [bk, bn] = transposeB ? [1, K] : [N, 1];
  const strides = { am, ak, az, bk, bn, bz: slices.batch === 1 ? K * N : bz, cm: N, cn: 1, cz: M * N };
  const shape = matmulShape({ ...slices, N, K, ...strides });
  const y = a.gpu.empty([...leading, M, N], 'f32', `matmul ${b.name}`);
  runMatmul(a.gpu, { a: left, b: right, c: y }, shape, 'assign');
  return onTape(matmulOperation, [left, right], y, { a: left, b: right, shape, transposeA, transposeB });
}
