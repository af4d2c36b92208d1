/** Launches matrix products as the device's plans say; tensors in, tensors out, no tape. */
import { matmul, type MatmulEpilogue, type MatmulShape } from '../kernels/matmul.ts';
import { packedFactor, packsRows } from '../kernels/planner.ts';
import { sumPartials } from '../kernels/sumPartials.ts';
import { transpose } from '../kernels/transpose.ts';
import { splitShape } from '../kernels/workgroupPlans.ts';
import type { Gpu } from './gpu.ts';
import type { Bindable } from './memory.ts';
import { floatOf } from './precision.ts';
import type { Tensor } from './tensor.ts';

/** The same epilogue for the transposed product. */
const TURNED_EPILOGUE: Readonly<Record<MatmulEpilogue, MatmulEpilogue>> = {
  assign: 'assign',
  accumulate: 'accumulate',
  bias: 'rowBias',
  rowBias: 'bias',
};

/** Bytes of the largest factor whose transpose is kept: fc6 of a feature pyramid has 51 MB, that of VGG-16 411. */
const KEPT_BYTES = 64 * 2 ** 20;

/**
 * The weight as a factor that stays the same for many products, if it does: its transpose is then computed once. It does not
 * while it is trained, and views and values of an operation live no longer than their scope.
 */
export const constantFactor = (gpu: Gpu, weight: Tensor): Tensor | null => {
  const trained = weight.requiresGrad && gpu.gradientsEnabled;
  return weight.persistent && !trained && weight.dtype === 'f32' && 4 * weight.size <= KEPT_BYTES ? weight : null;
};

/** Calls `fn` with the transpose of a factor of [rows, columns]. */
function withTransposed(
  gpu: Gpu,
  factor: Bindable,
  [rows, columns]: readonly [number, number],
  constant: Tensor | null,
  fn: (packed: Tensor) => void,
): void {
  const make = (): Tensor => {
    const packed = gpu.empty([columns, rows], floatOf(factor), 'packed factor');
    gpu.run(transpose, { b: factor, c: packed }, { rows, columns });
    return packed;
  };
  if (constant && factor === constant) return fn(constant.derive('transpose', [], () => [make()])[0]!);
  const packed = make();
  fn(packed);
  packed.dispose();
}

/** c (+)= a b, with strides; see kernels/matmul.ts. `constant`: a or b, if it is a `constantFactor`. */
export function runMatmul(
  gpu: Gpu,
  buffers: { a: Bindable; b: Bindable; bias?: Bindable | null; c: Bindable; constant?: Tensor | null },
  shape: MatmulShape,
  epilogue: MatmulEpilogue,
  relu = false,
): void {
  const { bias, constant = null, ...rest } = buffers;
  const factor = packedFactor(gpu.plans.device, shape);
  if (factor) {
    const { M, N, K, bk, bn, cm, cn } = shape;
    const columns = factor === 'b' ? N : M;
    const right = { bk: columns, bn: 1 };
    withTransposed(gpu, rest[factor], [columns, K], constant, (packed) => {
      if (factor === 'b') {
        runMatmul(gpu, { ...buffers, b: packed }, { ...shape, ...right }, epilogue, relu);
      } else {
        const turned = { ...shape, M: N, N: M, am: bn, ak: bk, ...right, cm: cn, cn: cm };
        runMatmul(gpu, { ...buffers, a: rest.b, b: packed }, turned, TURNED_EPILOGUE[epilogue], relu);
      }
    });
    return;
  }
  if (packsRows(gpu.plans.device, shape)) {
    const { M, K } = shape;
    withTransposed(gpu, rest.a, [M, K], constant, (packed) =>
      runMatmul(gpu, { ...buffers, a: packed }, { ...shape, am: 1, ak: M }, epilogue, relu),
    );
    return;
  }
  const splits = gpu.plans.splits(shape);
  if (splits > 1) {
    const { M, N } = shape;
    const partial = gpu.empty([splits, M, N], 'f32', 'partial products');
    runMatmul(gpu, { a: rest.a, b: rest.b, c: partial }, splitShape(shape, splits), 'assign');
    const sum = { partial, ...(bias && { bias }), y: rest.c };
    gpu.run(sumPartials(epilogue, relu), sum, { n: M * N, parts: splits, columns: N });
    partial.dispose();
    return;
  }
  gpu.run(matmul(gpu.plans.matmul(shape), shape, epilogue, relu), bias ? { ...rest, bias } : rest, shape);
}
