/** The processor cores that a process may use: a launcher may have bound it to some of them. */
import { readFileSync } from 'node:fs';

export interface Cores {
  /** That this process may use. */
  own: number;
  /** That some process it descends from may use, the launcher for example. */
  all: number;
}

/** Null where the system does not report it: only Linux does. */
export function cores(): Cores | null {
  try {
    const own = statusOf('self');
    let all = own.cores;
    for (let pid = own.parent; pid > 0;) {
      const ancestor = statusOf(pid);
      all = Math.max(all, ancestor.cores);
      pid = ancestor.parent;
    }
    return { own: own.cores, all };
  } catch {
    return null;
  }
}

function statusOf(pid: number | 'self'): { parent: number; cores: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)![1]!;
  // A hexadecimal mask with a bit for each core, in groups separated by commas.
  const mask = BigInt(`0x${field('Cpus_allowed').replaceAll(',', '')}`);
  return { parent: Number(field('PPid')), cores: mask.toString(2).replaceAll('0', '').length };
}
