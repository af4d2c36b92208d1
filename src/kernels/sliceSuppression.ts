/**
 * Suppression in slices, of which each holds boxes of its own (those of a class, of a level of a pyramid), and then the survivors
 * of all slices as one list, by descending score.
 *
 *   radix sort, gather_sorted, nms_mask, nms_sweep   slice by slice (radixSort.ts, nms.ts)
 *   rank_survivors   key by score, value = place in the sorted slices
 *   radix sort       of that list
 */
import { ceilDiv, kernel } from './kernel.ts';
import { gatherSorted, recordSuppress, suppressScratch } from './nms.ts';
import { LAST_KEY, radixSortScratch, recordRadixSort, SORT_KEY_WGSL } from './radixSort.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';

/** ranks, places u32 [slices,capacity]: the kept boxes of every slice first, LAST_KEY after them. */
export const rankSurvivors = kernel({
  name: 'rank_survivors',
  buffers: { keys: 'read u32', kept: 'read u32', keptCounts: 'read u32', ranks: 'write u32', places: 'write u32' },
  uniforms: { capacity: 'u32', slices: 'u32' },
  grid: ({ capacity, slices }) => [ceilDiv(capacity, 64), 1, slices],
  functions: SORT_KEY_WGSL,
  body: /* wgsl */ `
  let k = group.x * 64u + lane;
  if (k >= u.capacity) { return; }
  let base = group.z * u.capacity;
  var rank = LAST_KEY;
  var place = 0u;
  if (k < keptCounts[group.z]) {
    place = base + kept[base + k];
    rank = keys[place];
  }
  ranks[base + k] = rank;
  places[base + k] = place;`,
});

interface Slices {
  slices: number;
  /** Boxes of a slice, absent ones included. */
  capacity: number;
}

export interface SliceSuppressionParams extends Slices {
  /** IoU above which the lower score goes. */
  threshold: number;
  plusOne: number;
  /** Default `narrow`. */
  variant?: StageVariant | undefined;
}

/** boxes [slices,capacity,4], keys and order u32 [slices,capacity] are given; sorted, ranks and places are the result. */
export const sliceSuppressionScratch = ({ slices, capacity }: Slices) => {
  const n = slices * capacity;
  return {
    // One set of buffers serves both sorts, that of the slices and that of all survivors; their tiles differ in number.
    ...radixSortScratch({ n }),
    sortHistogram: Math.max(
      radixSortScratch({ n: capacity, slices }).sortHistogram,
      radixSortScratch({ n }).sortHistogram,
    ),
    ...suppressScratch({ capacity, slices, maxOutput: capacity }),
    boxes: n * 4,
    keys: n,
    order: n,
    sorted: n * 4,
    counts: slices,
    keptCounts: slices,
    ranks: n,
    places: n,
  };
};

/** boxes, keys, order -> sorted [slices,capacity,4]; ranks and places u32 [slices*capacity], LAST_KEY after the survivors. */
export function recordSliceSuppression<H>(
  run: Run<H>,
  buffers: StageBuffers<H, never, typeof sliceSuppressionScratch>,
  { slices, capacity, threshold, plusOne, variant }: SliceSuppressionParams,
): void {
  const { boxes, keys, order, sorted, counts, kept, keptCounts, ranks, places } = buffers;
  recordRadixSort(run, { ...buffers, values: order }, { n: capacity, slices, variant });
  run(gatherSorted, { keys, order, boxes, sorted, counts }, { n: capacity, capacity, slices });
  recordSuppress(run, buffers, { capacity, slices, threshold, plusOne, maxOutput: capacity, variant });
  run(rankSurvivors, { keys, kept, keptCounts, ranks, places }, { capacity, slices });
  recordRadixSort(run, { ...buffers, keys: ranks, values: places }, { n: slices * capacity, variant });
}

/** keys [slices,capacity]; kept: per slice the places of the survivors, `counts` of them -> ranks and places. */
export function rankSurvivorsReference(
  keys: Uint32Array,
  kept: Uint32Array,
  counts: readonly number[],
): { ranks: Uint32Array; places: Uint32Array } {
  const capacity = keys.length / counts.length;
  const ranks = new Uint32Array(keys.length).fill(LAST_KEY);
  const places = new Uint32Array(keys.length);
  counts.forEach((count, s) => {
    for (let i = s * capacity; i < s * capacity + count; i++) {
      places[i] = s * capacity + kept[i]!;
      ranks[i] = keys[places[i]!]!;
    }
  });
  return { ranks, places };
}
