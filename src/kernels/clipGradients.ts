/**
 * Gradients that are bounded before an update, all on the device.
 *
 *   by value   x <- min(max(x, -bound), bound)
 *   by norm    norm = sqrt(sum of the squares of all gradients);   x <- x min(1, bound / (norm + 1e-6)), as PyTorch has it
 *
 * The norm is summed in a fixed order: squares in chunks of CLIP_CHUNK (a lane's own one after the other, then those of the
 * workgroup in two levels, then the chunks in the same way).
 */
import { elementwiseSets } from './elementwise.ts';
import { IEEE_WGSL } from './ieee.ts';
import { ceilDiv, kernel, type Kernel, linear, memoize } from './kernel.ts';
import { GROUP_SUM_WGSL } from './reduce.ts';

/** Elements whose squares one workgroup adds up. */
export const CLIP_CHUNK = 4096;

export const squareChunks = (n: number): number => ceilDiv(n, CLIP_CHUNK);

/** Parameters of one dispatch: a buffer each, and one that all share. */
export const clipSets = (maxBuffers: number): number => Math.min(maxBuffers, 16) - 1;

/** Writes the sums of the squares of x0, x1, ..., a number for each chunk, into `partials` from `start` on. */
export const squareSums = memoize((count: number): Kernel => {
  const sets = Array.from({ length: count }, (_, k) => k);
  return kernel<string, string>({
    name: `square_sums_${count}`,
    buffers: { ...Object.fromEntries(sets.map((k) => [`x${k}`, 'read' as const])), partials: 'write' },
    uniforms: { start: 'u32', ...Object.fromEntries(sets.map((k) => [`n${k}`, 'u32' as const])) },
    grid: (u) =>
      linear(
        sets.reduce((total, k) => total + squareChunks(u[`n${k}`]!), 0),
        1,
      ),
    functions: GROUP_SUM_WGSL,
    body: /* wgsl */ `
  let chunk = linear_index(group, groups, 0u, 1u);
  var at = chunk;
  var found = false;
  var own = 0.0;
${sets
  .map(
    (k) => `  {
    let chunks = (u.n${k} + ${CLIP_CHUNK - 1}u) / ${CLIP_CHUNK}u;
    if (!found && at < chunks) {
      for (var i = at * ${CLIP_CHUNK}u + lane; i < min((at + 1u) * ${CLIP_CHUNK}u, u.n${k}); i += 64u) {
        own += x${k}[i] * x${k}[i];
      }
      found = true;
    }
    at -= select(chunks, 0u, found);
  }`,
  )
  .join('\n')}
  let total = group_sum(lane, own);
  if (lane == 0u && found) { partials[u.start + chunk] = total; }`,
  });
});

/** From the sums of chunks to the norm, and to the factor that the gradients are to be multiplied by. */
export const clipFactor = kernel({
  name: 'clip_factor',
  buffers: { partials: 'read', norm: 'write', factor: 'write' },
  uniforms: { n: 'u32', bound: 'f32', epsilon: 'f32' },
  grid: () => [1, 1, 1],
  functions: GROUP_SUM_WGSL + IEEE_WGSL,
  body: /* wgsl */ `
  var own = 0.0;
  for (var i = lane; i < u.n; i += 64u) { own += partials[i]; }
  let total = group_sum(lane, own);
  if (lane == 0u) {
    let length = select(sqrt(total), total, !is_finite(total));
    norm[0] = length;
    factor[0] = select(min(1.0, u.bound / (length + u.epsilon)), length, is_nan(length));
  }`,
});

/** x0, x1, ... <- factor[0] x */
export const scaleSets = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `scale_sets_${count}`,
    count,
    buffers: { x: 'read_write vec4f' },
    sharedBuffers: { factor: 'read' },
    body: (k) => `x${k}[i] *= factor[0];`,
  }),
);

/** x0, x1, ... <- min(max(x, -bound), bound); NaN stays NaN. */
export const clampSets = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `clamp_sets_${count}`,
    count,
    buffers: { x: 'read_write vec4f' },
    shared: { bound: 'f32' },
    functions: IEEE_WGSL,
    body: (k) =>
      `let value = x${k}[i];
        x${k}[i] = select(clamp(value, vec4f(-u.bound), vec4f(u.bound)), value, is_nan4(value));`,
  }),
);

export const squareSumsReference = (x: Float64Array): Float64Array =>
  Float64Array.from({ length: squareChunks(x.length) }, (_, chunk) =>
    x.subarray(chunk * CLIP_CHUNK, (chunk + 1) * CLIP_CHUNK).reduce((sum, value) => sum + value ** 2, 0),
  );

export function clipFactorReference(partials: Float64Array, bound: number, epsilon: number) {
  const norm = Math.sqrt(partials.reduce((sum, value) => sum + value, 0));
  return { norm, factor: Math.min(1, bound / (norm + epsilon)) };
}

export const clampReference = (x: Float64Array, bound: number): Float64Array =>
  x.map((value) => Math.min(Math.max(value, -bound), bound));
