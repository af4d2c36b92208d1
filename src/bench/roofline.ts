/** The roofline: the least time that a device's peaks allow for so many operations and bytes, and which of the two peaks sets it. */
import type { Peaks } from './probes.ts';

export function roofline(
  { flops, bytes }: { flops?: number; bytes?: number },
  peaks: Peaks,
): { bound: 'compute' | 'memory'; milliseconds: number } | null {
  if (bytes === undefined) return null;
  const [compute, memory] = [(flops ?? 0) / peaks.gflops / 1e6, bytes / peaks.gbps / 1e6];
  return compute > memory ? { bound: 'compute', milliseconds: compute } : { bound: 'memory', milliseconds: memory };
}
