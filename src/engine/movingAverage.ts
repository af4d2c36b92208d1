/**
 * An exponential moving average of weights, which often detects better than the weights of any one step. After update t (from 1)
 *   a += (1 - d) (w - a),   d = min(decay, (1 + t) / (10 + t))
 * with the smaller d of the first updates as in TensorFlow's ExponentialMovingAverage, so that the random weights of the
 * beginning are soon forgotten.
 */
import { sumsAtOnce } from '../kernels/elementwise.ts';
import { averageSets, exchangeSets } from '../kernels/movingAverage.ts';
import { runSets } from './sets.ts';
import type { Tensor } from './tensor.ts';

export class MovingAverage {
  readonly decay: number;
  /** Parameters and their averages, in the order given. */
  readonly slots: readonly { parameter: Tensor; state: { average: Tensor } }[];
  /** Updates so far: to be set where `slots` are filled from a file. */
  updates = 0;

  /** Begins with the parameters' present values. */
  constructor(parameters: readonly Tensor[], decay: number) {
    if (!(decay >= 0 && decay < 1))
      throw new Error(`MovingAverage: decay is ${decay}, expected a number from 0 to below 1`);
    this.decay = decay;
    this.slots = parameters.map((parameter) => {
      const average = parameter.copy();
      average.persistent = true;
      return { parameter, state: { average } };
    });
  }

  /** Begins anew with the parameters' present values. */
  restart(): void {
    this.updates = 0;
    for (const { parameter, state } of this.slots) parameter.gpu.copy(parameter, 0, state.average, 0, parameter.size);
  }

  /** To be called after each step of the optimiser. */
  update(): void {
    this.updates++;
    this.rehearse();
  }

  /** For `gpu.compile`: as `update`, without counting it. */
  rehearse(): void {
    const t = this.updates;
    const rate = 1 - Math.min(this.decay, (1 + t) / (10 + t));
    runSets(
      this.slots.map(({ parameter, state }) => ({ buffers: { a: state.average, w: parameter } })),
      sumsAtOnce,
      averageSets,
      { uniforms: { rate } },
    );
  }

  /** Gives the parameters their averages and keeps their own values until it is called again. */
  exchange(): void {
    runSets(
      this.slots.map(({ parameter, state }) => ({ buffers: { x: parameter, y: state.average } })),
      sumsAtOnce,
      exchangeSets,
    );
    for (const { parameter } of this.slots) parameter.changed();
  }

  dispose(): void {
    for (const { state } of this.slots) state.average.dispose();
  }
}
