/**
 * Adds up the parts of a split sum, as filter gradients and products with few results produce them:
 *
 *   y[i] (+)= partial[0, i] + partial[1, i] + ...   (+ bias, ReLU)          i over rows of `columns` results
 *
 * Parts are added in order: deterministic, without atomics.
 */
import { type BufferSpec, kernel, memoize, type Kernel } from './kernel.ts';
import type { MatmulEpilogue } from './matmul.ts';
import { RELU_WGSL } from './relu.ts';

/** Buffers partial [parts, n], (bias [columns], or with `rowBias` [n / columns],) y [n]. `relu` is applied last. */
export const sumPartials = memoize((epilogue: MatmulEpilogue, relu: boolean = false): Kernel => {
  const bias = { assign: '', accumulate: '', bias: ' + bias[i % u.columns]', rowBias: ' + bias[i / u.columns]' }[
    epilogue
  ];
  const result = relu ? `relu(sum${bias})` : `sum${bias}`;
  return kernel({
    name: 'sum_partials',
    buffers: {
      partial: 'read',
      ...(bias ? { bias: 'read' } : {}),
      y: epilogue === 'accumulate' ? 'read_write' : 'write',
    } as Record<string, BufferSpec>,
    uniforms: { n: 'u32', parts: 'u32', columns: 'u32' },
    each: 'n',
    functions: relu ? RELU_WGSL : '',
    body: /* wgsl */ `
  var sum = 0.0;
  for (var part = 0u; part < u.parts; part++) { sum += partial[part * u.n + i]; }
  y[i] ${epilogue === 'accumulate' ? '+=' : '='} ${result};`,
  });
});

export function sumPartialsReference(
  partial: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  y: ArrayLike<number>,
  parts: number,
  columns: number,
  epilogue: MatmulEpilogue,
  relu = false,
): Float64Array {
  return Float64Array.from(y, (before, i) => {
    let sum = epilogue === 'accumulate' ? before : 0;
    if (epilogue === 'bias') sum += bias![i % columns]!;
    if (epilogue === 'rowBias') sum += bias![Math.floor(i / columns)]!;
    for (let part = 0; part < parts; part++) sum += partial[part * y.length + i]!;
    return relu ? Math.max(0, sum) : sum;
  });
}
