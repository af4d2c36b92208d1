/**
 * An exponential moving average of weights (Polyak & Juditsky 1992): a <- a + rate (w - a), rate = 1 - decay, for several pairs
 * of buffers in one dispatch; and the exchange of two buffers, by which a network computes with its averages for a while.
 */
import { elementwiseSets } from './elementwise.ts';
import { memoize, type Kernel } from './kernel.ts';

/** A step of `count` averages: a0, w0, n0, a1, ... */
export const averageSets = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `average_sets_${count}`,
    count,
    buffers: { a: 'read_write vec4f', w: 'read vec4f' },
    shared: { rate: 'f32' },
    body: (k) => `a${k}[i] += u.rate * (w${k}[i] - a${k}[i]);`,
  }),
);

/** Every x takes the words of its y, and y those of x: x0, y0, n0, x1, ... */
export const exchangeSets = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `exchange_sets_${count}`,
    count,
    buffers: { x: 'read_write vec4u', y: 'read_write vec4u' },
    body: (k) => `let words = x${k}[i];
        x${k}[i] = y${k}[i];
        y${k}[i] = words;`,
  }),
);

export const averageReference = (a: Float64Array, w: Float64Array, rate: number): Float64Array =>
  a.map((value, i) => value + rate * (w[i]! - value));
