/** Values chosen by indices. */
import {
  embedding as embeddingKernel,
  embeddingBackward,
  embeddingKeys,
  gather as gatherKernel,
  gatherBackward,
  type GatherShape,
} from '../../kernels/gather.ts';
import { stageVariant } from '../../kernels/planner.ts';
import { radixSortScratch, recordRadixSort } from '../../kernels/radixSort.ts';
import { operation, onTape } from '../autograd.ts';
import { scratch } from '../scratch.ts';
import type { Tensor } from '../tensor.ts';
import { axisView, expectDtype, expectRank, resolveAxis } from './shapes.ts';

type GatherSaved = { x: Tensor; indices: Tensor; shape: GatherShape; axis: number };

export const gatherOperation = operation<GatherSaved>('gather', ({ dy }, { x, indices, shape }) => {
  const dx = dy.gpu.empty(x.shape, 'f32', 'dx gather');
  dy.gpu.run(gatherBackward, { dy, index: indices, dx }, shape);
  return [dx];
});

/**
 * y[.., j, ..] = x[.., indices[.., j, ..], ..] along an axis, as PyTorch's gather; `embedding` takes whole rows. An index that does
 * not exist gives NaN, since a shader cannot throw.
 * @param indices i32, the shape of x but for the axis   @returns the shape of the indices
 */
export function gather(x: Tensor, axis: number, indices: Tensor): Tensor {
  const at = resolveAxis('gather', axis, x.shape.length);
  expectDtype('gather', 'indices', indices, 'i32');
  const fits = indices.shape.length === x.shape.length && x.shape.every((n, i) => i === at || n === indices.shape[i]);
  if (!fits) {
    const expected = x.shape.map((n, i) => (i === at ? 'J' : n));
    throw new Error(`gather: indices has shape [${indices.shape}], expected [${expected}]`);
  }
  const shape = { ...axisView(x.shape, at), picks: indices.shape[at]! };
  const y = x.gpu.empty(indices.shape, 'f32', `gather ${x.name}`);
  x.gpu.run(gatherKernel, { x, index: indices, y }, shape);
  return onTape(gatherOperation, [x], y, { x, indices, shape, axis: at });
}

type EmbeddingSaved = { table: Tensor; indices: Tensor };

export const embeddingOperation = operation<EmbeddingSaved>('embedding', ({ dy }, { table, indices }) => {
  const { gpu } = dy;
  const n = indices.size;
  const [rows, columns] = table.shape as [number, number];
  const dtable = gpu.empty(table.shape, 'f32', 'dx embedding');
  const { tensors, dispose } = scratch(gpu, { keys: n, order: n, ...radixSortScratch({ n }) });
  const { keys, order } = tensors;
  gpu.run(embeddingKeys, { index: indices, keys, order }, { n });
  const variant = stageVariant(gpu.plans.device);
  if (n > 0) recordRadixSort(gpu.run.bind(gpu), { ...tensors, values: order }, { n, variant });
  gpu.run(embeddingBackward, { dy, keys, order, dtable }, { n, rows, columns });
  dispose();
  return [dtable];
});

/**
 * Rows of a table: y[.., :] = table[indices[..], :]. An index that does not exist gives NaN.
 * @param table [V, D]   @param indices i32, any shape   @returns the shape of the indices and D
 */
export function embedding(table: Tensor, indices: Tensor): Tensor {
  expectRank('embedding', 'table', table, 'V,D');
  expectDtype('embedding', 'indices', indices, 'i32');
  const [rows, columns] = table.shape as [number, number];
  const y = table.gpu.empty([...indices.shape, columns], 'f32', `embedding ${table.name}`);
  table.gpu.run(embeddingKernel, { table, index: indices, y }, { n: indices.size, rows, columns });
  return onTape(embeddingOperation, [table], y, { table, indices });
}
