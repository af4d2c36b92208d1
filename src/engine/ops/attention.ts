/** Attention (Vaswani et al. 2017, section 3.2.1). */
import { causalMask } from '../../kernels/causalMask.ts';
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { add, scale } from './arithmetic.ts';
import { softmax } from './axes.ts';
import { matmul } from './matmul.ts';

export interface AttentionOptions {
  /** Added to the scores [.., L, S], repeated to their shape: minus infinity hides a key from a query. */
  mask?: Tensor;
  /** A query sees the keys up to its own place alone; default false. */
  causal?: boolean;
  /** Factor of the scores; default 1 / sqrt(D). */
  scale?: number;
}

type Saved = { rows: number; columns: number };

export const causalOperation = operation<Saved>('scaledDotProductAttention', ({ dy }, size) => {
  const dx = dy.gpu.empty(dy.shape, 'f32', 'dx causal mask');
  dy.gpu.run(causalMask, { x: dy, y: dx }, { n: dy.size, ...size, value: 0 });
  return [dx];
});

function causal(scores: Tensor): Tensor {
  const [rows, columns] = scores.shape.slice(-2) as [number, number];
  const y = scores.gpu.empty(scores.shape, 'f32', 'causal scores');
  scores.gpu.run(causalMask, { x: scores, y }, { n: y.size, rows, columns, value: -Infinity });
  return onTape(causalOperation, [scores], y, { rows, columns });
}

/**
 * softmax(q kᵀ / sqrt(D) + mask) v.
 * @param q [.., L, D]   @param k [.., S, D]   @param v [.., S, E]   @returns [.., L, E]
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { mask } = options;
  if (q.shape.length < 2) throw new Error(`scaledDotProductAttention: q has shape [${q.shape}], expected [..,L,D]`);
  const factor = options.scale ?? 1 / Math.sqrt(q.shape.at(-1)!);
  const scores = scale(matmul(q, k, { transposeB: true }), factor);
  const masked = mask ? add(scores, mask) : scores;
  return matmul(softmax(options.causal ? causal(masked) : masked, -1), v);
}
