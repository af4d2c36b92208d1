/**
 * What the adapter can do at most, measured in the same run as everything else; shares of peak refer to it.
 *
 *   multiply-add   registers only: 16 independent chains a lane, the loop's body unrolled; 2 operations each
 *   copy           y = x, four floats at a time; bytes read and bytes written both count
 *
 * Devices differ in which form of a probe suits them, so each probe has variants and the best one counts. Of many short times
 * the best is taken, because on a CPU other programs take a core away during most of them.
 */
import type { Gpu } from '../engine/gpu.ts';
import { kernel, linear, type Kernel } from '../kernels/kernel.ts';
import { measure } from './measure.ts';

export interface Peaks {
  gflops: number;
  gbps: number;
}

const CHAINS = Array.from({ length: 16 }, (_, i) => i);
/** How often the loop runs. */
const TURNS = 256;
const TIMES = { repetitions: 40, budgetMs: 600 };

/** Each turn of the loop does `unroll` multiply-adds on each of the 16 chains. */
export const multiplyAddProbe = (unroll: number): Kernel<'y', 'n' | 'turns' | 'factor'> =>
  kernel({
    name: `probe_multiply_add_${unroll}`,
    buffers: { y: 'write' },
    uniforms: { n: 'u32', turns: 'u32', factor: 'f32' },
    grid: ({ n }) => linear(n, 64),
    body: /* wgsl */ `
  let i = linear_index(group, groups, lane, 64u);
  let b = f32(i) * 1e-6;
${CHAINS.map((c) => `  var s${c} = b + ${c}.0;`).join('\n')}
  for (var turn = 0u; turn < u.turns; turn++) {
${Array.from({ length: unroll }, () => CHAINS.map((c) => `    s${c} = fma(s${c}, u.factor, b);`).join('\n')).join('\n')}
  }
  if (i < u.n) { y[i] = ${CHAINS.map((c) => `s${c}`).join(' + ')}; }`,
  });

/** A workgroup copies `run` vectors, 64 adjacent ones at a time. */
export const copyProbe = (run: number): Kernel<'x' | 'y', 'n'> =>
  kernel({
    name: `probe_copy_${run}`,
    buffers: { x: 'read vec4f', y: 'write vec4f' },
    uniforms: { n: 'u32' },
    grid: ({ n }) => linear(n, run),
    body: /* wgsl */ `
  let start = linear_index(group, groups, 0u, ${run}u);
  for (var i = start + lane; i < min(start + ${run}u, u.n); i += 64u) { y[i] = x[i]; }`,
  });

/** Milliseconds that copying `bytes` once takes. */
export async function copyTime(gpu: Gpu, bytes: number): Promise<number> {
  const n = Math.ceil(bytes / 16);
  const [x, y] = ['copied', 'copy'].map((name) => gpu.allocate(n * 16, name));
  let best = Infinity;
  for (const run of [64, 1024]) {
    const record = () => gpu.run(copyProbe(run), { x: x!, y: y! }, { n });
    best = Math.min(best, (await measure(gpu, record, 'device', TIMES)).bestMs);
  }
  [x, y].forEach((buffer) => gpu.release(buffer!));
  return best;
}

export async function measurePeaks(gpu: Gpu): Promise<Peaks> {
  const n = gpu.adapter.software ? 8192 : 1 << 20;
  const y = gpu.allocate(n * 4, 'probe');
  let gflops = 0;
  for (const unroll of [1, 4]) {
    const probe = multiplyAddProbe(unroll);
    const record = () => gpu.run(probe, { y }, { n, turns: TURNS, factor: 0.999 });
    const { bestMs } = await measure(gpu, record, 'device', TIMES);
    gflops = Math.max(gflops, (2 * n * TURNS * unroll * CHAINS.length) / bestMs / 1e6);
  }
  gpu.release(y);
  const bytes = 64 * 1024 * 1024;
  const gbps = (2 * bytes) / (await copyTime(gpu, bytes)) / 1e6;
  gpu.trim();
  return { gflops, gbps };
}
