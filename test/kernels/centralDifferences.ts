/** Numerical gradients of float64 references, against which the written-out gradients are held. */
import { expectClose } from '../harness.ts';

/** (f(x + h e_i) - f(x - h e_i)) / 2h for every i. */
function centralDifferences(f: (x: Float64Array) => number, x: Float64Array, h = 1e-5): Float64Array {
  return x.map((value, i) => {
    const moved = x.slice();
    moved[i] = value + h;
    const above = f(moved);
    moved[i] = value - h;
    return (above - f(moved)) / (2 * h);
  });
}

/** `gradient` must be that of f at x, where f is smooth within h of x. */
export function expectGradient(gradient: Float64Array, f: (x: Float64Array) => number, x: Float64Array): void {
  expectClose(gradient, centralDifferences(f, x), { atol: 1e-8, rtol: 1e-7, what: 'gradient' });
}

/** Sum of weights times outputs: turns a vector-valued operation into a loss whose gradient is the backward pass at dy = weights. */
export const weighted = (outputs: Float64Array, weights: Float64Array): number =>
  outputs.reduce((sum, value, i) => sum + value * weights[i]!, 0);
