/**
 * Which buffers a stretch of work needs, given when it held each of them.
 *
 * Buffers are shared whole: WebGPU forbids a dispatch to read one part of a buffer and write another. The largest leases
 * get theirs first, and a smaller one goes where it fits between them (greedy by size, Pisarchyk and Lee 2020).
 */

/** How much of a buffer is in use, and from which tick to which; `until` is Infinity while it is still in use. */
export interface Lease {
  readonly bytes: number;
  readonly from: number;
  until: number;
}

/** The index of the smallest entry of `free` (ascending) that holds this many bytes; -1 if there is none. */
export const bestFit = (free: readonly { bytes: number }[], bytes: number): number =>
  free.findIndex((buffer) => buffer.bytes >= bytes);

/** Inserts into an ascending list, after equal entries. */
export function insert<T>(list: T[], item: T, order: (a: T, b: T) => number): void {
  let at = list.length;
  while (at > 0 && order(list[at - 1]!, item) > 0) at--;
  list.splice(at, 0, item);
}

/** Buffer sizes that are enough for `leases`, all of which have ended, if each takes the best fit when it begins. */
export function planBuffers(leases: readonly Lease[]): number[] {
  const sizes = shareBySize(leases);
  for (;;) {
    const missing = missingAtBestFit(leases, sizes);
    if (missing === 0) return sizes;
    sizes.push(missing);
  }
}

function shareBySize(leases: readonly Lease[]): number[] {
  const buffers: Lease[][] = [];
  for (const lease of [...leases].sort((a, b) => b.bytes - a.bytes || a.from - b.from)) {
    const idle = buffers.findLast((users) => users.every((user) => user.until < lease.from || user.from > lease.until));
    if (idle) idle.push(lease);
    else buffers.push([lease]);
  }
  return buffers.map(([largest]) => largest!.bytes);
}

/**
 * Best fit cannot see the future and may choose differently from the plan. Returns the size to add where it first finds no
 * buffer: one for the smallest lease that occupies a buffer which would do, if there is one. 0 if nothing is missing.
 */
function missingAtBestFit(leases: readonly Lease[], sizes: readonly number[]): number {
  const ascending = (a: { bytes: number }, b: { bytes: number }): number => a.bytes - b.bytes;
  const free = sizes.map((bytes) => ({ bytes })).sort(ascending);
  const taken = new Map<Lease, { bytes: number }>();
  const ticks = leases.flatMap((lease) => [
    { lease, tick: lease.from },
    { lease, tick: lease.until },
  ]);
  for (const { lease, tick } of ticks.sort((a, b) => a.tick - b.tick)) {
    if (tick === lease.until) {
      insert(free, taken.get(lease)!, ascending);
      taken.delete(lease);
      continue;
    }
    const at = bestFit(free, lease.bytes);
    if (at < 0) {
      const holders = [...taken].filter(([, { bytes }]) => bytes >= lease.bytes);
      return Math.min(lease.bytes, ...holders.map(([holder]) => holder.bytes));
    }
    taken.set(lease, free.splice(at, 1)[0]!);
  }
  return 0;
}
