/** Launches matrix products as the device's plans say; tensors in, tensors out, no tape. */
import { matmul, type MatmulEpilogue, type MatmulShape } from '../kernels/matmul.ts';
import { packedFactor, packsRows } from '../kernels/planner.ts';
import { sumPartials } from '../kernels/sumPartials.ts';
import { transpose } from '../kernels/transpose.ts';
import { splitShape } from '../kernels/workgroupPlans.ts';
import type { Gpu } from './gpu.ts';
import type { Bindable } from './memory.ts';
import { floatOf } from './precision.ts';

/** The same epilogue for the transposed product. */
const TURNED_EPILOGUE: Readonly<Record<MatmulEpilogue, MatmulEpilogue>> = {
  assign: 'assign',
  accumulate: 'accumulate',
  bias: 'rowBias',
  rowBias: 'bias',
};

/** c (+)= a b, with strides; see kernels/matmul.ts. */
export function runMatmul(
  gpu: Gpu,
  buffers: { a: Bindable; b: Bindable; bias?: Bindable | null; c: Bindable },
  shape: MatmulShape,
  epilogue: MatmulEpilogue,
  relu = false,
): void {
  const { bias, ...rest } = buffers;
  const factor = packedFactor(gpu.plans.device, shape);
  if (factor) {
    const { M, N, K, bk, bn, cm, cn } = shape;
    const columns = factor === 'b' ? N : M;
    const packed = gpu.empty([K, columns], floatOf(rest[factor]), 'packed factor');
    gpu.run(transpose, { b: rest[factor], c: packed }, { rows: columns, columns: K });
    const right = { bk: columns, bn: 1 };
    if (factor === 'b') {
      runMatmul(gpu, { ...buffers, b: packed }, { ...shape, ...right }, epilogue, relu);
    } else {
      const turned = { ...shape, M: N, N: M, am: bn, ak: bk, ...right, cm: cn, cn: cm };
      runMatmul(gpu, { ...buffers, a: rest.b, b: packed }, turned, TURNED_EPILOGUE[epilogue], relu);
    }
    packed.dispose();
    return;
  }
  if (packsRows(gpu.plans.device, shape)) {
    const { M, K } = shape;
    const packed = gpu.empty([K, M], floatOf(rest.a), 'packed rows');
    gpu.run(transpose, { b: rest.a, c: packed }, { rows: M, columns: K });
    runMatmul(gpu, { ...buffers, a: packed }, { ...shape, am: 1, ak: M }, epilogue, relu);
    packed.dispose();
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
