/** Special values of steps of optimisers, bounds of gradients and averages of weights. */
import { adamSteps } from '../../adam.ts';
import { clampSets, clipFactor, scaleSets, squareSums } from '../../clipGradients.ts';
import { averageSets, exchangeSets } from '../../movingAverage.ts';
import { sgdSteps } from '../../sgd.ts';
import type { KernelCheck } from '../check.ts';
import { f32, I, row, u32 } from './row.ts';

export const optimisersSpecialValues: readonly (() => KernelCheck)[] = [
  () => {
    const check = row(
      'SGD step',
      sgdSteps(1),
      { grad0: [NaN, I, 1, 1] },
      { n0: 4, lr0: 1, weightDecay0: 0, momentum: 0.5, gradScale: 1 },
      { w0: [NaN, -I, NaN, 0], h0: [NaN, I, NaN, 1] },
    );
    return { ...check, buffers: { ...check.buffers, w0: f32(1, 1, NaN, 1), h0: f32(0, 0, NaN, 0) } };
  },
  () => {
    const check = row(
      'Adam step',
      adamSteps(1),
      { grad0: [NaN, I, 0, 1] },
      {
        n0: 4,
        lr0: 1,
        weightDecay0: 0,
        keep0: 1,
        gradScale: 1,
        beta1: 0.5,
        rest1: 0.5,
        beta2: 0.75,
        rest2: 0.25,
        unbias: 1,
        epsilon: 1e-8,
      },
      { w0: [NaN, NaN, NaN, 0], m0: [NaN, I, NaN, 0.5], v0: [NaN, I, NaN, 0.25] },
    );
    const zeros = f32(0, 0, 0, 0);
    return { ...check, buffers: { ...check.buffers, w0: f32(1, 1, NaN, 1), m0: zeros, v0: zeros.slice() } };
  },
  () => row('squares with NaN', squareSums(1), { x0: [1, NaN] }, { n0: 2, start: 0 }, { partials: [NaN] }),
  () => row('squares with infinity', squareSums(1), { x0: [1, -I] }, { n0: 2, start: 0 }, { partials: [I] }),
  ...[
    { of: NaN, norm: NaN, factor: NaN },
    { of: I, norm: I, factor: 0 },
    { of: 0, norm: 0, factor: 1 },
  ].map(
    ({ of, norm, factor }) =>
      () =>
        row(
          `factor of a norm of ${of}`,
          clipFactor,
          { partials: [of] },
          { n: 1, bound: 1, epsilon: 1e-6 },
          { norm: [norm], factor: [factor] },
        ),
  ),
  () => {
    const check = row('scaled by NaN', scaleSets(1), { factor: [NaN] }, { n0: 4 }, { x0: [NaN, NaN, NaN, NaN] });
    return { ...check, buffers: { ...check.buffers, x0: f32(1, 0, I, NaN) } };
  },
  () => {
    const check = row('clamp', clampSets(1), {}, { n0: 4, bound: 2 }, { x0: [NaN, 2, -2, 0] });
    return { ...check, buffers: { ...check.buffers, x0: f32(NaN, I, -I, 0) } };
  },
  () => {
    const check = row(
      'average of weights',
      averageSets(1),
      { w0: [NaN, I, 1, -I] },
      { n0: 4, rate: 0.5 },
      { a0: [NaN, I, NaN, -I] },
    );
    return { ...check, buffers: { ...check.buffers, a0: f32(1, 1, NaN, 1) } };
  },
  () => {
    const [x0, y0] = [u32(0x7fc00001, 0xff800000, 1, 0), u32(0, 1, 0x7f800001, 0x80000000)];
    const check = row('exchange', exchangeSets(1), {}, { n0: 4 }, { x0: y0, y0: x0 });
    return { ...check, buffers: { x0, y0 } };
  },
];
