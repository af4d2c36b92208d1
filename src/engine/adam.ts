/**
 * Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) with PyTorch's rule and defaults; see kernels/adam.ts. The moments
 * of all parameters are corrected by the number of the update (`updates`), which is that of the optimiser: a parameter without a
 * gradient in some updates is corrected as if it had one in all.
 */
import { adamSets, adamSteps, adamUniforms } from '../kernels/adam.ts';
import { expectRate, Optimizer, type ParameterGroup, type UpdateRule } from './optimizer.ts';
import { runSets } from './sets.ts';
import type { Tensor } from './tensor.ts';

export interface AdamOptions {
  /** May be changed later: `adam.learningRate = 0.0001`. */
  learningRate: number;
  /** Decay of the first and of the second moment; [0.9, 0.999] by default. */
  betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-8 by default. */
  epsilon?: number;
  /** 0 by default for Adam, 0.01 for AdamW. */
  weightDecay?: number;
}

type Moments = 'first_moment' | 'second_moment';
type Settings = Omit<AdamOptions, 'learningRate'>;

function momentsRule(
  name: string,
  decoupled: boolean,
  { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0 }: Settings,
): UpdateRule<Moments> {
  expectRate(name, 'epsilon', epsilon);
  expectRate(name, 'weightDecay', weightDecay);
  if (!betas.every((beta) => beta >= 0 && beta < 1))
    throw new Error(`${name}: betas are ${betas.join(' and ')}, expected numbers from 0 to below 1`);
  return {
    name,
    states: ['first_moment', 'second_moment'],
    apply(updates, { learningRate, divisor, number }) {
      const uniforms = (rate: number, decay: number) =>
        adamUniforms(
          {
            lr: learningRate * rate,
            weightDecay: weightDecay * decay,
            decoupled,
            betas,
            epsilon,
            gradScale: 1 / divisor,
          },
          number,
        );
      runSets(
        updates.map(({ weights, grad, state, rate, decay }) => ({
          buffers: { w: weights, m: state.first_moment, v: state.second_moment, grad },
          uniforms: uniforms(rate, decay).own,
        })),
        adamSets,
        adamSteps,
        { uniforms: uniforms(1, 1).shared },
      );
    },
  };
}

/** Weight decay is added to the gradient. */
export const adamRule = (settings: Settings): UpdateRule<Moments> => momentsRule('Adam', false, settings);

/** Weight decay shrinks the weights and does not go through the moments. */
export const adamWRule = (settings: Settings): UpdateRule<Moments> =>
  momentsRule('AdamW', true, { weightDecay: 0.01, ...settings });

export class Adam extends Optimizer<Moments> {
  constructor(parameters: readonly (Tensor | ParameterGroup)[], { learningRate, ...settings }: AdamOptions) {
    super(parameters, adamRule(settings), learningRate);
  }
}

export class AdamW extends Optimizer<Moments> {
  constructor(parameters: readonly (Tensor | ParameterGroup)[], { learningRate, ...settings }: AdamOptions) {
    super(parameters, adamWRule(settings), learningRate);
  }
}
