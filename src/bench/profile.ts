/**
 * Where the time of a row goes: recording, the device's work by kernel, the gaps between its dispatches, and how far each
 * kernel is from its roofline.
 */
import type { Gpu } from '../engine/gpu.ts';
import type { Dispatched, DispatchTime } from '../engine/profiler.ts';
import { hasTimestamps } from './measure.ts';
import type { Peaks } from './probes.ts';
import type { BenchProfile } from './report.ts';
import { roofline } from './roofline.ts';
import { median } from './statistics.ts';

const RUNS = 3;

/** `record` must have run before, so that its shaders are compiled. Null if the adapter has no timestamp queries. */
export async function profileWork(gpu: Gpu, record: () => unknown, peaks: Peaks): Promise<BenchProfile | null> {
  if (!hasTimestamps(gpu)) return null;
  const once = (): void => gpu.scope(() => void record());
  const [recorded, waited]: [number[], number[]] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    once();
    gpu.flush();
    recorded.push(performance.now() - start);
    await gpu.finish();
    waited.push(performance.now() - start);
  }
  const dispatches = await gpu.profileDispatches(once);
  return { record_ms: median(recorded), wall_ms: median(waited), ...summarize(dispatches, peaks) };
}

type Summary = Omit<BenchProfile, 'record_ms' | 'wall_ms'>;

export function summarize(dispatches: readonly DispatchTime[], peaks: Peaks): Summary {
  const kernels = new Map<string, Summary['kernels'][number]>();
  let busy = 0;
  let gaps = 0;
  let last: number | null = null;
  for (const dispatch of dispatches) {
    const time = dispatch.end - dispatch.begin;
    busy += time;
    if (last !== null) gaps += Math.max(0, dispatch.begin - last);
    last = Math.max(last ?? 0, dispatch.end);
    const kernel = kernels.get(dispatch.name) ?? {
      name: dispatch.name,
      dispatches: 0,
      milliseconds: 0,
      flops: 0,
      bytes: 0,
      bound_ms: 0,
    };
    kernels.set(dispatch.name, kernel);
    const [flops, bytes] = [operations(dispatch), dispatch.boundBytes];
    kernel.dispatches++;
    kernel.milliseconds += time;
    kernel.flops += flops;
    kernel.bytes += bytes;
    kernel.bound_ms += roofline({ flops, bytes }, peaks)!.milliseconds;
  }
  const list = [...kernels.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  return { dispatches: dispatches.length, busy_ms: busy, gaps_ms: gaps, kernels: list };
}

/** The additions and multiplications of a product or a convolution, from the uniforms of its kernel; 0 for other kernels. */
function operations({ name, uniforms }: Dispatched): number {
  const of = (...names: string[]): number => names.reduce((product, key) => product * (uniforms[key] ?? 1), 2);
  if (name.startsWith('conv2d')) return of('B', 'K', 'C', 'R', 'S', 'OH', 'OW');
  return name.startsWith('matmul') ? of('batch', 'M', 'N', 'K') : 0;
}

/**
 * The kernels that lose most against their roofline, starting with the one that spends the most time above its bound. A kernel
 * that binds a large buffer but reads only a part of it has too high a bound, and counts as being at its bound.
 */
export const farthest = (kernels: BenchProfile['kernels'], count: number): BenchProfile['kernels'] =>
  [...kernels].sort((a, b) => b.milliseconds - b.bound_ms - (a.milliseconds - a.bound_ms)).slice(0, count);
