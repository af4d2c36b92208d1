/**
 * The k smallest of n keys, in their old order; among equal keys the first ones. Sorting only those k costs a fraction of sorting
 * all: a training step keeps a few of many thousand proposals.
 *
 *   top_k_threshold   threshold u32 [2]: the k-th smallest key, and how many of the keys equal to it are taken. One workgroup
 *                     does a radix select with four histograms of 8 bits. On a GPU all other cores would wait for it for a
 *                     hundred microseconds or more, so many workgroups count (radixSelect.ts: top_k_histogram, top_k_rank)
 *   top_k_count       tileCounts [tiles,2]: keys below the threshold and equal to it, in each tile of 1024
 *   top_k_compact     keysOut, indicesOut [k]
 *
 * Integer atomics are used only for counting. 0 < k <= n.
 */
import { ceilDiv, kernel } from './kernel.ts';
import { countDigitBody, RADIX_SELECT_WGSL, radixSelectClear, radixSelectScratch, SELECT_TILE } from './radixSelect.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';

const TILE = 1024;

export const topKThreshold = kernel({
  name: 'top_k_threshold',
  buffers: { keys: 'read u32', threshold: 'write u32' },
  uniforms: { n: 'u32', k: 'u32' },
  grid: () => [1, 1, 1],
  lanes: 256,
  functions: /* wgsl */ `
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> prefix: u32;      // the leading digits of the k-th smallest key
var<workgroup> remaining: u32;   // its rank among the keys that share them, from 1`,
  body: /* wgsl */ `
  if (lane == 0u) {
    prefix = 0u;
    remaining = u.k;
  }
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    atomicStore(&histogram[lane], 0u);
    workgroupBarrier();
    let wanted = prefix;
    for (var i = lane; i < u.n; i += 256u) {
      let key = keys[i];
      if (digit == 0u || (key >> (shift + 8u)) == wanted) { atomicAdd(&histogram[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var bin = 0u;
      var rank = remaining;
      for (; bin < 255u; bin++) {
        let count = atomicLoad(&histogram[bin]);
        if (count >= rank) { break; }
        rank -= count;
      }
      prefix = (prefix << 8u) | bin;
      remaining = rank;
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    threshold[0] = prefix;
    threshold[1] = remaining;
  }`,
});

/** Adds the counts of a digit to histograms [4,256]; notes [4,2] keeps what was known before each digit. */
export const topKHistogram = kernel({
  name: 'top_k_histogram',
  buffers: { keys: 'read u32', histograms: 'read_write atomic<u32>', notes: 'read_write u32' },
  uniforms: { n: 'u32', k: 'u32', digit: 'u32' },
  grid: ({ n }) => [ceilDiv(n, SELECT_TILE), 1, 1],
  lanes: 256,
  functions: RADIX_SELECT_WGSL,
  body: countDigitBody('u.k', 'let key = keys[i];'),
});

/** Finds the last digit, and with it the threshold. */
export const topKRank = kernel({
  name: 'top_k_rank',
  buffers: { histograms: 'read_write atomic<u32>', notes: 'read u32', threshold: 'write u32' },
  uniforms: { k: 'u32' },
  grid: () => [1, 1, 1],
  lanes: 256,
  functions: RADIX_SELECT_WGSL,
  body: /* wgsl */ `
  let note = note_of(lane, 4u, u.k);
  if (lane < 2u) { threshold[lane] = note[lane]; }`,
});

export const topKCount = kernel({
  name: 'top_k_count',
  buffers: { keys: 'read u32', threshold: 'read u32', tileCounts: 'write vec2u' },
  uniforms: { n: 'u32' },
  grid: ({ n }) => [ceilDiv(n, TILE), 1, 1],
  functions: /* wgsl */ `
var<workgroup> below: atomic<u32>;
var<workgroup> equal: atomic<u32>;`,
  body: /* wgsl */ `
  var own = vec2u(0u);
  for (var i = group.x * ${TILE}u + lane; i < min(u.n, (group.x + 1u) * ${TILE}u); i += 64u) {
    own += vec2u(u32(keys[i] < threshold[0]), u32(keys[i] == threshold[0]));
  }
  atomicAdd(&below, own.x);
  atomicAdd(&equal, own.y);
  workgroupBarrier();
  if (lane == 0u) { tileCounts[group.x] = vec2u(atomicLoad(&below), atomicLoad(&equal)); }`,
});

/** A thread has 16 contiguous keys, so that their places follow from the tiles and the threads before it. */
export const topKCompact = kernel({
  name: 'top_k_compact',
  buffers: {
    keys: 'read u32',
    threshold: 'read u32',
    tileCounts: 'read vec2u',
    keysOut: 'write u32',
    indicesOut: 'write u32',
  },
  uniforms: { n: 'u32' },
  grid: ({ n }) => [ceilDiv(n, TILE), 1, 1],
  functions: 'var<workgroup> sums: array<vec2u, 64>;',
  body: /* wgsl */ `
  let limit = threshold[0];
  let ties = threshold[1];
  let first = min(u.n, group.x * ${TILE}u + lane * 16u);
  let end = min(u.n, first + 16u);
  var own = vec2u(0u);
  for (var i = first; i < end; i++) { own += vec2u(u32(keys[i] < limit), u32(keys[i] == limit)); }
  sums[lane] = own;
  workgroupBarrier();
  var before = vec2u(0u);
  for (var tile = 0u; tile < group.x; tile++) { before += tileCounts[tile]; }
  for (var thread = 0u; thread < lane; thread++) { before += sums[thread]; }
  for (var i = first; i < end; i++) {
    let key = keys[i];
    if (key < limit || (key == limit && before.y < ties)) {
      let place = before.x + min(before.y, ties);
      keysOut[place] = key;
      indicesOut[place] = i;
    }
    before += vec2u(u32(key < limit), u32(key == limit));
  }`,
});

export const topKScratch = ({ n, variant = 'narrow' }: { n: number; variant?: StageVariant }) => ({
  threshold: 2,
  tileCounts: 2 * ceilDiv(n, TILE),
  ...radixSelectScratch(variant),
});

/** keys [n] -> keysOut, indicesOut u32 [k]. */
export function recordTopK<H>(
  run: Run<H>,
  buffers: StageBuffers<H, 'keys' | 'keysOut' | 'indicesOut', typeof topKScratch>,
  { n, k, variant = 'narrow' }: { n: number; k: number; variant?: StageVariant },
): void {
  const {
    keys,
    threshold,
    tileCounts,
    keysOut,
    indicesOut,
    selectHistograms: histograms,
    selectNotes: notes,
  } = buffers;
  if (variant === 'narrow') run(topKThreshold, { keys, threshold }, { n, k });
  else {
    run(radixSelectClear, { histograms }, {});
    for (let digit = 0; digit < 4; digit++) run(topKHistogram, { keys, histograms, notes }, { n, k, digit });
    run(topKRank, { histograms, notes, threshold }, { k });
  }
  run(topKCount, { keys, threshold, tileCounts }, { n });
  run(topKCompact, { keys, threshold, tileCounts, keysOut, indicesOut }, { n });
}

export function topKThresholdReference(keys: Uint32Array, k: number): Uint32Array {
  const limit = [...keys].sort((a, b) => a - b)[k - 1]!;
  return Uint32Array.of(limit, k - keys.filter((key) => key < limit).length);
}

/** [tiles,2] */
export function topKCountReference(keys: Uint32Array, limit: number): Uint32Array {
  const counts = new Uint32Array(2 * ceilDiv(keys.length, TILE));
  keys.forEach((key, i) => {
    if (key <= limit) counts[2 * Math.floor(i / TILE) + Number(key === limit)]!++;
  });
  return counts;
}

/** The indices of the k smallest keys, ascending. */
export function topKReference(keys: Uint32Array, k: number): Uint32Array {
  const order = [...keys.keys()].sort((i, j) => keys[i]! - keys[j]! || i - j);
  return Uint32Array.from(order.slice(0, k)).sort();
}
