/** A choice between two tensors, element by element. */
import { mergeAxes, repeatedStrides, strideValues } from '../../kernels/strides.ts';
import { where as whereKernel, whereBackward } from '../../kernels/where.ts';
import { operation, onTape } from '../autograd.ts';
import { broadcastShape, summedTo } from '../repetition.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { asTensor, type Operand } from './binary.ts';
import { expectDtype } from './shapes.ts';

type Saved = { condition: Tensor; shapes: readonly [a: Shape, b: Shape] };

export const whereOperation = operation<Saved>('where', ({ dy, needs }, { condition, shapes }) => {
  const view = mergeAxes({ extents: dy.shape, strides: [repeatedStrides(condition.shape, dy.shape)] });
  return (['a', 'b'] as const).map((side, i) => {
    if (!needs[i]) return null;
    const dx = dy.gpu.empty(dy.shape, 'f32', 'dx where');
    const uniforms = strideValues(view, ['condition']);
    dy.gpu.run(whereBackward(side, view.extents.length), { condition, dy, dx }, uniforms);
    return summedTo(dx, shapes[i]!, 'dx where');
  });
});

/** a where the condition (f32, as comparisons give it) is not 0, else b; all three are repeated to one shape. No gradient of the condition. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  expectDtype('where', 'condition', condition, 'f32');
  const { gpu } = condition;
  const [x, z] = [asTensor(gpu, a), asTensor(gpu, b)];
  const values = broadcastShape(x.shape, z.shape);
  const shape = values && broadcastShape(condition.shape, values);
  if (!shape) {
    const shapes = `the condition has shape [${condition.shape}], a [${x.shape}] and b [${z.shape}]`;
    throw new Error(`where: ${shapes}, expected their extents, counted from the last, to be equal or 1`);
  }
  const strides = [condition, x, z].map((tensor) => repeatedStrides(tensor.shape, shape));
  const view = mergeAxes({ extents: shape, strides });
  const y = gpu.empty(shape, 'f32', 'where');
  gpu.run(whereKernel(view.extents.length), { condition, a: x, b: z, y }, strideValues(view, ['condition', 'a', 'b']));
  return onTape(whereOperation, [x, z], y, { condition, shapes: [x.shape, z.shape] });
}
