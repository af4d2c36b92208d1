/** Checks of choosing at random, sorting and non-maximum suppression, in one slice and in several. */
import { boxAt } from '../boxes.ts';
import * as nms from '../nms.ts';
import { digitHistogramReference, digitNoteReference, radixSelectClear } from '../radixSelect.ts';
import * as radix from '../radixSort.ts';
import { Random, randomU32 } from '../rng.ts';
import { selectRandom, selectRandomApply, selectRandomHistogram, selectRandomReference } from '../selectRandom.ts';
import type { StageVariant } from '../sequence.ts';
import * as top from '../topK.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, integers, normals, pixelBoxes, unsigned } from './inputs.ts';

export function selectRandomCheck(n: number, limit: number, random: number, used = 0): KernelCheck {
  const flags = integers(n, 9, -1, 2);
  const choice = { value: 1, otherwise: -5, random, seed: 12345, stream: 6 };
  const expected = selectRandomReference(flags, { ...choice, limit: Math.max(0, limit - used) });
  return {
    name: `select_random ${limit}${used > 0 ? ` - ${used}` : ''} of ${n}${random ? '' : ' in order'}`,
    kernel: selectRandom,
    buffers: { flags, counts: unsigned([used, 0]) },
    uniforms: { n, ...choice, limit, subtract: used > 0 ? 0 : -1, slot: 1 },
    expected: { flags: expected.flags, counts: unsigned([used, expected.count]) },
    ...EXACT,
  };
}

/** One digit of the search by many workgroups or, with digit 4, the selection that follows it. */
export function selectRandomDigitCheck(n: number, limit: number, digit: number): KernelCheck {
  const { buffers, uniforms, expected } = selectRandomCheck(n, limit, 1);
  const flags = buffers['flags'] as Int32Array;
  const keys = Uint32Array.from(
    [...flags.keys()].filter((i) => flags[i] === uniforms['value']),
    (i) => randomU32(uniforms['seed']!, uniforms['stream']!, i),
  );
  const search = (before: number) => ({
    histograms: digitHistograms(keys, limit, before),
    notes: digitNotes(keys, limit, before),
  });
  const last = digit === 4;
  return {
    name: last ? `select_random_apply ${limit} of ${n}` : `select_random_histogram ${limit} of ${n}, digit ${digit}`,
    kernel: last ? selectRandomApply : selectRandomHistogram,
    buffers: { ...buffers, ...search(digit) },
    uniforms: last ? uniforms : { ...uniforms, digit },
    expected: last ? expected : search(digit + 1),
    ...EXACT,
  };
}

/** Keys with many equal digits, so that stability shows. */
const sortKeys = (n: number) => Uint32Array.from(normals(n, 10), (x) => radix.sortKey(Math.round(x * 50) / 50));

const perSlice = <T>(slices: number, build: (slice: number) => ArrayLike<T>): T[] =>
  Array.from({ length: slices }, (_, slice) => Array.from(build(slice))).flat();

export function radixHistogramCheck(n: number, slices: number, shift: number): KernelCheck {
  const keys = sortKeys(n * slices);
  const histogram = perSlice(slices, (s) => radix.radixHistogramReference(keys.subarray(s * n, (s + 1) * n), shift));
  return {
    name: `radix_histogram ${slices}x${n} shift ${shift}`,
    kernel: radix.radixHistogram,
    buffers: { keys, histogram: new Uint32Array(histogram.length) },
    uniforms: { n, slices, shift },
    expected: { histogram: unsigned(histogram) },
    ...EXACT,
  };
}

export function radixScatterCheck(
  n: number,
  slices: number,
  shift: number,
  variant: StageVariant = 'narrow',
): KernelCheck {
  const kernel = variant === 'wide' ? radix.radixScatterWide : radix.radixScatter;
  const keys = sortKeys(n * slices);
  const values = Uint32Array.from(keys, (_, i) => 3 * i + 1);
  const slice = <T extends Uint32Array>(x: T, s: number) => x.subarray(s * n, (s + 1) * n);
  const histogram = perSlice(slices, (s) => radix.radixHistogramReference(slice(keys, s), shift));
  const sorted = (x: Uint32Array) =>
    unsigned(perSlice(slices, (s) => radix.radixPassReference(slice(keys, s), shift).map((i) => slice(x, s)[i]!)));
  return {
    name: `${kernel.name} ${slices}x${n} shift ${shift}`,
    kernel,
    buffers: {
      keys,
      values,
      histogram: unsigned(histogram),
      keysOut: new Uint32Array(n * slices),
      valuesOut: new Uint32Array(n * slices),
    },
    uniforms: { n, slices, shift },
    expected: { keysOut: sorted(keys), valuesOut: sorted(values) },
    ...EXACT,
  };
}

export function radixSortTileCheck(n: number, slices: number, variant: StageVariant = 'narrow'): KernelCheck {
  const kernel = variant === 'wide' ? radix.radixSortTileWide : radix.radixSortTile;
  const keys = sortKeys(n * slices);
  const values = Uint32Array.from(keys, (_, i) => 3 * i + 1);
  const slice = <T extends Uint32Array>(x: T, s: number) => x.subarray(s * n, (s + 1) * n);
  const sorted = (x: Uint32Array) =>
    unsigned(perSlice(slices, (s) => radix.sortReference(slice(keys, s)).map((i) => slice(x, s)[i]!)));
  return {
    name: `${kernel.name} ${slices}x${n}`,
    kernel,
    buffers: { keys, values },
    uniforms: { n, slices },
    expected: { keys: sorted(keys), values: sorted(values) },
    ...EXACT,
  };
}

export function topKChecks(n: number, k: number): KernelCheck[] {
  const keys = sortKeys(n);
  const threshold = top.topKThresholdReference(keys, k);
  const tileCounts = top.topKCountReference(keys, threshold[0]!);
  const indicesOut = top.topKReference(keys, k);
  const name = (kernel: string) => `${kernel} ${k} of ${n}`;
  return [
    {
      name: name('top_k_threshold'),
      kernel: top.topKThreshold,
      buffers: { keys, threshold: new Uint32Array(2) },
      uniforms: { n, k },
      expected: { threshold },
      ...EXACT,
    },
    {
      name: name('top_k_count'),
      kernel: top.topKCount,
      buffers: { keys, threshold, tileCounts: new Uint32Array(tileCounts.length) },
      uniforms: { n },
      expected: { tileCounts },
      ...EXACT,
    },
    {
      name: name('top_k_compact'),
      kernel: top.topKCompact,
      buffers: { keys, threshold, tileCounts, keysOut: new Uint32Array(k), indicesOut: new Uint32Array(k) },
      uniforms: { n },
      expected: { keysOut: indicesOut.map((i) => keys[i]!), indicesOut },
      ...EXACT,
    },
  ];
}

export const radixSelectClearCheck = (): KernelCheck => ({
  name: 'radix_select_clear',
  kernel: radixSelectClear,
  buffers: { histograms: new Uint32Array(1024).fill(7) },
  uniforms: {},
  expected: { histograms: new Uint32Array(1024) },
  ...EXACT,
});

/** The histograms of a search once those before `digit` are complete. */
function digitHistograms(keys: Uint32Array, k: number, digit: number): Uint32Array {
  const histograms = new Uint32Array(1024);
  for (let d = 0; d < digit; d++) histograms.set(digitHistogramReference(keys, k, d), 256 * d);
  return histograms;
}

/** What was noted before `digit`. */
function digitNotes(keys: Uint32Array, k: number, digit: number): Uint32Array {
  const notes = new Uint32Array(8);
  for (let d = 0; d < digit; d++) notes.set(digitNoteReference(keys, k, d), 2 * d);
  return notes;
}

export function topKHistogramCheck(n: number, k: number, digit: number): KernelCheck {
  const keys = sortKeys(n);
  return {
    name: `top_k_histogram ${k} of ${n}, digit ${digit}`,
    kernel: top.topKHistogram,
    buffers: { keys, histograms: digitHistograms(keys, k, digit), notes: digitNotes(keys, k, digit) },
    uniforms: { n, k, digit },
    expected: { histograms: digitHistograms(keys, k, digit + 1), notes: digitNotes(keys, k, digit + 1) },
    ...EXACT,
  };
}

export function topKRankCheck(n: number, k: number): KernelCheck {
  const keys = sortKeys(n);
  return {
    name: `top_k_rank ${k} of ${n}`,
    kernel: top.topKRank,
    buffers: { histograms: digitHistograms(keys, k, 4), notes: digitNotes(keys, k, 4), threshold: new Uint32Array(2) },
    uniforms: { k },
    expected: { threshold: top.topKThresholdReference(keys, k) },
    ...EXACT,
  };
}

export function nmsKeepAllCheck(maxOutput: number, counts: readonly number[]): KernelCheck {
  const slices = counts.length;
  return {
    name: `nms_keep_all ${slices} slices, at most ${maxOutput}`,
    kernel: nms.nmsKeepAll,
    buffers: {
      counts: unsigned(counts),
      kept: new Uint32Array(slices * maxOutput).fill(7),
      keptCounts: new Uint32Array(slices).fill(7),
    },
    uniforms: { slices, maxOutput },
    expected: {
      kept: Uint32Array.from({ length: slices * maxOutput }, (_, i) => i % maxOutput),
      keptCounts: Uint32Array.from(counts, (count) => Math.min(count, maxOutput)),
    },
    ...EXACT,
  };
}

export function nmsKeysCheck(n: number): KernelCheck {
  const scores = normals(n, 12);
  scores.set([0, -0, NaN, Infinity, -Infinity, -3.4028235e38].slice(0, n));
  return {
    name: `nms_keys ${n}`,
    kernel: nms.nmsKeys,
    buffers: { scores, keys: new Uint32Array(n), order: new Uint32Array(n) },
    uniforms: { n },
    expected: { keys: Uint32Array.from(scores, radix.sortKey), order: Uint32Array.from(scores.keys()) },
    ...EXACT,
  };
}

export function gatherSortedCheck(n: number, capacity: number, valid: readonly number[]): KernelCheck {
  const slices = valid.length;
  const boxes = pixelBoxes(n * slices, 13);
  const keys = unsigned(
    perSlice(slices, (s) => Array.from({ length: n }, (_, i) => (i < valid[s]! ? 5 * i : radix.LAST_KEY))),
  );
  const order = unsigned(perSlice(slices, (s) => new Random(s).permutation(n)));
  const sorted = new Float64Array(slices * capacity * 4);
  for (let s = 0; s < slices; s++)
    for (let k = 0; k < Math.min(capacity, valid[s]!); k++) {
      const from = (s * n + order[s * n + k]!) * 4;
      sorted.set(boxes.subarray(from, from + 4), (s * capacity + k) * 4);
    }
  return {
    name: `gather_sorted ${slices}x${capacity} of ${n}, valid ${valid}`,
    kernel: nms.gatherSorted,
    buffers: {
      keys,
      order,
      boxes,
      sorted: new Float32Array(sorted.length).fill(7),
      counts: new Uint32Array(slices).fill(7),
    },
    uniforms: { n, capacity, slices },
    expected: { sorted, counts: Uint32Array.from(valid, (count) => Math.min(count, capacity)) },
    ...EXACT,
  };
}

const NMS = { threshold: 0.3, plusOne: 1 };
const NMS_BLOCK = 1024;

/** Sorted boxes of slices with the given numbers of valid ones, and what is known about one block of each before its sweep. */
function nmsInputs(capacity: number, counts: readonly number[], plusOne: number, maxOutput: number, block: number) {
  const slices = counts.length;
  // If there are many boxes they are small, so that later blocks still keep some.
  const sorted =
    capacity > NMS_BLOCK ? pixelBoxes(capacity * slices, 14, 0, 4, 30) : pixelBoxes(capacity * slices, 14, 0, 30, 120);
  const [rows, words] = [Math.min(capacity, NMS_BLOCK), Math.ceil(Math.min(capacity, NMS_BLOCK) / 32)];
  const start = block * NMS_BLOCK;
  const mask = new Uint32Array(slices * rows * words);
  const removed = new Uint32Array(slices * words);
  const survivors: number[][] = [];
  counts.forEach((count, s) => {
    const valid = doubles(sorted.subarray(s * capacity * 4, (s * capacity + count) * 4));
    const inBlock = valid.subarray(start * 4, (start + NMS_BLOCK) * 4);
    mask.set(nms.nmsMaskReference(inBlock, rows, NMS.threshold, plusOne), s * rows * words);
    survivors.push(nms.suppressReference(valid, NMS.threshold, plusOne, maxOutput));
    for (let j = 0; j < inBlock.length / 4; j++) {
      const box = boxAt(inBlock, j * 4);
      const before = survivors[s]!.filter((i) => i < start);
      if (before.some((i) => nms.suppresses(boxAt(valid, i * 4), box, NMS.threshold, plusOne)))
        removed[s * words + (j >> 5)]! |= 1 << (j & 31);
    }
  });
  const kept = (wanted: (i: number) => boolean) => {
    const list = new Uint32Array(slices * maxOutput);
    survivors.forEach((all, s) => list.set(all.filter(wanted), s * maxOutput));
    return list;
  };
  const keptCounts = (wanted: (i: number) => boolean) =>
    Uint32Array.from(survivors, (all) => all.filter(wanted).length);
  return {
    buffers: { sorted, counts: unsigned([...counts]), mask, removed },
    kept,
    keptCounts,
    rows,
    words,
    start,
    uniforms: { capacity, slices, maxOutput, block, threshold: NMS.threshold, plusOne },
  };
}

/** The block after the first; `maxOutput` boxes are not reached before it. */
export function nmsRemovedCheck(capacity: number, counts: readonly number[], maxOutput: number): KernelCheck {
  const { buffers, kept, keptCounts, start, uniforms } = nmsInputs(capacity, counts, 1, maxOutput, 1);
  const { sorted, removed } = buffers;
  const before = (i: number) => i < start;
  return {
    name: `nms_removed ${counts} of ${capacity}`,
    kernel: nms.nmsRemoved,
    buffers: {
      sorted,
      counts: buffers.counts,
      kept: kept(before),
      keptCounts: keptCounts(before),
      removed: new Uint32Array(removed.length),
    },
    uniforms,
    expected: { removed },
    ...EXACT,
  };
}

/** Only the words on and right of the diagonal are written; the buffer starts as zeros, so the others stay zero. */
export function nmsMaskCheck(capacity: number, counts: readonly number[], plusOne: number, block = 0): KernelCheck {
  const { buffers, rows, words, uniforms } = nmsInputs(capacity, counts, plusOne, capacity, block);
  const { sorted, mask } = buffers;
  const removed = block === 0 ? new Uint32Array(buffers.removed.length).fill(7) : buffers.removed; // 7: not to be read
  const expected = mask.map((bits, i) => {
    const slice = Math.floor(i / (rows * words));
    return block === 0 ? bits : bits & ~removed[slice * words + (i % words)]!;
  });
  return {
    name: `nms_mask ${counts} of ${capacity} plusOne ${plusOne} block ${block}`,
    kernel: nms.nmsMask,
    buffers: {
      sorted,
      counts: buffers.counts,
      keptCounts: new Uint32Array(counts.length),
      removed,
      mask: new Uint32Array(mask.length),
    },
    uniforms,
    expected: { mask: expected },
    ...EXACT,
  };
}

export function nmsSweepCheck(
  capacity: number,
  counts: readonly number[],
  maxOutput: number,
  block = 0,
  variant: StageVariant = 'narrow',
): KernelCheck {
  const kernel = variant === 'wide' ? nms.nmsSweepWide : nms.nmsSweep;
  const { buffers, kept, keptCounts, rows, words, start } = nmsInputs(capacity, counts, 1, maxOutput, block);
  const mask = new Uint32Array(buffers.mask.length).fill(0xffffffff); // what must not be read
  counts.forEach((count, s) => {
    for (let i = 0; i < Math.min(count - start, NMS_BLOCK); i++)
      for (let w = Math.floor(i / 32); w < words; w++)
        mask[(s * rows + i) * words + w] = buffers.mask[(s * rows + i) * words + w]!;
  });
  const before = (i: number) => i < start;
  const after = (i: number) => i < start + NMS_BLOCK;
  return {
    name: `${kernel.name} ${counts} of ${capacity} up to ${maxOutput} block ${block}`,
    kernel,
    buffers: {
      mask,
      counts: buffers.counts,
      removed: block === 0 ? new Uint32Array(buffers.removed.length).fill(7) : buffers.removed,
      kept: kept(before),
      keptCounts: block === 0 ? new Uint32Array(counts.length).fill(7) : keptCounts(before),
    },
    uniforms: { capacity, slices: counts.length, maxOutput, block },
    expected: { kept: kept(after), keptCounts: keptCounts(after), removed: new Uint32Array(buffers.removed.length) },
    ...EXACT,
  };
}

export function nmsOriginalCheck(n: number, count: number, maxOutput: number): KernelCheck {
  const order = unsigned(new Random(15).permutation(n));
  const kept = Uint32Array.from({ length: maxOutput }, (_, k) => (2 * k) % n);
  return {
    name: `nms_original ${count} of ${maxOutput}`,
    kernel: nms.nmsOriginal,
    buffers: { kept, keptCounts: unsigned([count]), order, indices: new Int32Array(maxOutput) },
    uniforms: { maxOutput },
    expected: { indices: Int32Array.from(kept, (at, k) => (k < count ? order[at]! : -1)) },
    ...EXACT,
  };
}
