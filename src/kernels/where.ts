/**
 * A choice between two tensors: y = condition != 0 ? a : b, all three repeated to one shape by strides (strides.ts). NaN chooses a.
 * Gradients are written for every element of the result: da = condition != 0 ? dy : 0, and db the other way round.
 */
import { elementwise } from './elementwise.ts';
import { type Kernel, memoize, type Scalar } from './kernel.ts';
import { eachPlace, placesWgsl, type StridedView, strideUniforms } from './strides.ts';

const TENSORS = ['condition', 'a', 'b'] as const;
/** On the bits: a comparison may take NaN for 0. */
const CHOSEN = '(condition[at_condition] & 0x7fffffffu) != 0u';

const uniformsOf = (rank: number, tensors: readonly string[]) =>
  Object.fromEntries(strideUniforms(rank, tensors).map((name) => [name, 'u32' as Scalar]));

export const where = memoize((rank: number): Kernel =>
  elementwise<string, string>({
    name: `where_${rank}`,
    buffers: { condition: 'read u32', a: 'read', b: 'read', y: 'write' },
    uniforms: uniformsOf(rank, TENSORS),
    body: `${placesWgsl(rank, TENSORS)}
    y[i] = select(b[at_b], a[at_a], ${CHOSEN});`,
  }),
);

export const whereBackward = memoize((side: 'a' | 'b', rank: number): Kernel =>
  elementwise<string, string>({
    name: `where_backward_${side}_${rank}`,
    buffers: { condition: 'read u32', dy: 'read', dx: 'write' },
    uniforms: uniformsOf(rank, ['condition']),
    body: `${placesWgsl(rank, ['condition'])}
    dx[i] = ${side === 'a' ? `select(0.0, dy[i], ${CHOSEN})` : `select(dy[i], 0.0, ${CHOSEN})`};`,
  }),
);

export function whereReference(
  condition: Float64Array,
  a: Float64Array,
  b: Float64Array,
  view: StridedView,
): Float64Array {
  const y: number[] = [];
  eachPlace(view, (_, [at, atA, atB]) => y.push(condition[at!] !== 0 ? a[atA!]! : b[atB!]!));
  return Float64Array.from(y);
}

export function whereBackwardReference(
  side: 'a' | 'b',
  condition: Float64Array,
  dy: Float64Array,
  view: StridedView,
): Float64Array {
  const dx = new Float64Array(dy.length);
  eachPlace(view, (i, [at]) => (dx[i] = (condition[at!] !== 0) === (side === 'a') ? dy[i]! : 0));
  return dx;
}
