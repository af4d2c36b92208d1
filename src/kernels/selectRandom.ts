/**
 * Random selection without replacement, for the mini-batches of anchors (paper, section 3.1.3) and of RoIs.
 *
 * Among the elements i with flags[i] == value, those with the `limit` smallest keys stay, the others become `otherwise`:
 *   key(i) = random(seed, stream, i), a permutation of the integers: no ties     (random = 1)
 *   key(i) = i: the first `limit` in index order, for runs without sampling      (random = 0)
 *   limit  = u.limit, or u.limit - counts[subtract] where subtract >= 0 ("pad with negatives")
 * counts[slot] = how many stayed.
 *
 * flags i32 [n] in place; counts u32. One workgroup finds the limit-th smallest key by radix select: at most four
 * histograms of 8 bits, whose integer atomics give the same counts in any order. The search ends early if there are no more
 * candidates than places, or once exactly as many keys as wanted share the digits found so far; with thousands of random
 * keys that takes two digits.
 *
 * On a GPU one workgroup would read tens of thousands of flags three times, which takes 0.1 ms or more. There many workgroups
 * count instead (radixSelect.ts: select_random_histogram for each digit, select_random_apply), and the same elements stay.
 */
import { ceilDiv, kernel } from './kernel.ts';
import { countDigitBody, RADIX_SELECT_WGSL, radixSelectClear, radixSelectScratch, SELECT_TILE } from './radixSelect.ts';
import { randomU32, RNG_WGSL } from './rng.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';

const UNIFORMS = {
  n: 'u32',
  value: 'i32',
  otherwise: 'i32',
  limit: 'u32',
  subtract: 'i32',
  slot: 'u32',
  random: 'u32',
  seed: 'u32',
  stream: 'u32',
} as const;

/** `key_of(i)`: the key of element i. */
const KEY_WGSL = /* wgsl */ `
${RNG_WGSL}
fn key_of(i: u32) -> u32 {
  if (u.random == 0u) { return i; }
  return random_u32(u.seed, u.stream, i);
}
`;

export const selectRandom = kernel({
  name: 'select_random',
  buffers: { flags: 'read_write i32', counts: 'read_write u32' },
  uniforms: UNIFORMS,
  grid: () => [1, 1, 1],
  lanes: 256,
  functions: /* wgsl */ `
${KEY_WGSL}
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> prefix: u32;      // the leading digits of the limit-th smallest key
var<workgroup> remaining: u32;   // its rank among the keys that share them, from 1
var<workgroup> total: u32;
var<workgroup> settled: u32;     // the digits that follow do not matter`,
  body: /* wgsl */ `
  var limit = u.limit;
  if (u.subtract >= 0) { limit -= min(limit, counts[u.subtract]); }
  if (lane == 0u) {
    prefix = 0u;
    remaining = limit;
  }
  var largest = 0u; // the largest key that stays
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    atomicStore(&histogram[lane], 0u);
    workgroupBarrier();
    for (var i = lane; i < u.n; i += 256u) {
      if (flags[i] != u.value) { continue; }
      let key = key_of(i);
      if (digit == 0u || (key >> (shift + 8u)) == prefix) { atomicAdd(&histogram[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var sum = 0u;
      var below = 0u;
      var found = 256u;
      var found_count = 0u;
      for (var bin = 0u; bin < 256u; bin++) {
        let count = atomicLoad(&histogram[bin]);
        if (found == 256u && sum + count >= remaining) {
          found = bin;
          found_count = count;
          below = sum;
        }
        sum += count;
      }
      if (digit == 0u) { total = sum; }
      prefix = (prefix << 8u) | min(found, 255u);
      remaining -= below;
      settled = u32(total <= limit || found_count == remaining);
    }
    let done = workgroupUniformLoad(&settled);
    largest = (prefix << shift) | ((1u << shift) - 1u);
    if (done == 1u) { break; }
  }
  if (total > limit) {
    for (var i = lane; i < u.n; i += 256u) {
      if (flags[i] == u.value && (limit == 0u || key_of(i) > largest)) { flags[i] = u.otherwise; }
    }
  }
  if (lane == 0u) { counts[u.slot] = min(total, limit); }`,
});

const SEARCH_WGSL = /* wgsl */ `
${KEY_WGSL}
fn limit_of() -> u32 {
  if (u.subtract < 0) { return u.limit; }
  return u.limit - min(u.limit, counts[u.subtract]);
}
`;

export const selectRandomHistogram = kernel({
  name: 'select_random_histogram',
  buffers: {
    flags: 'read i32',
    counts: 'read u32',
    histograms: 'read_write atomic<u32>',
    notes: 'read_write u32',
  },
  uniforms: { ...UNIFORMS, digit: 'u32' },
  grid: ({ n }) => [Math.max(1, ceilDiv(n, SELECT_TILE)), 1, 1],
  lanes: 256,
  functions: RADIX_SELECT_WGSL + SEARCH_WGSL,
  body: countDigitBody('limit_of()', 'if (flags[i] != u.value) { continue; }\n    let key = key_of(i);'),
});

/** Changes the flags of elements that are not selected, and counts those that are. */
export const selectRandomApply = kernel({
  name: 'select_random_apply',
  buffers: {
    flags: 'read_write i32',
    counts: 'read_write u32',
    histograms: 'read_write atomic<u32>',
    notes: 'read u32',
  },
  uniforms: UNIFORMS,
  grid: ({ n }) => [Math.max(1, ceilDiv(n, SELECT_TILE)), 1, 1],
  lanes: 256,
  functions: RADIX_SELECT_WGSL + SEARCH_WGSL,
  body: /* wgsl */ `
  let limit = limit_of();
  let largest = note_of(lane, 4u, limit).x;
  workgroupBarrier();
  let total = bin_of_rank(lane, atomicLoad(&histograms[lane]), 1u).w;
  if (total > limit) {
    let end = min(u.n, (group.x + 1u) * ${SELECT_TILE}u);
    for (var i = group.x * ${SELECT_TILE}u + lane; i < end; i += 256u) {
      if (flags[i] == u.value && (limit == 0u || key_of(i) > largest)) { flags[i] = u.otherwise; }
    }
  }
  if (group.x == 0u && lane == 0u) { counts[u.slot] = min(total, limit); }`,
});

/** From this many elements on, six dispatches of many workgroups cost less than one of a single workgroup; a guess, not measured. */
const MANY = 8192;

const searches = (n: number, variant: StageVariant): StageVariant => (n >= MANY ? variant : 'narrow');

export const selectRandomScratch = (n: number, variant: StageVariant = 'narrow') =>
  radixSelectScratch(searches(n, variant));

/** flags i32 [n] in place, counts u32. */
export function recordSelectRandom<H>(
  run: Run<H>,
  buffers: StageBuffers<H, 'flags' | 'counts', typeof selectRandomScratch>,
  params: Readonly<Record<keyof typeof UNIFORMS, number>>,
  variant: StageVariant = 'narrow',
): void {
  const { flags, counts, selectHistograms: histograms, selectNotes: notes } = buffers;
  if (searches(params.n, variant) === 'narrow') {
    run(selectRandom, { flags, counts }, params);
    return;
  }
  run(radixSelectClear, { histograms }, {});
  const search = { flags, counts, histograms, notes };
  for (let digit = 0; digit < 4; digit++) run(selectRandomHistogram, search, { ...params, digit });
  run(selectRandomApply, search, params);
}

/** Returns the new flags and the count. */
export function selectRandomReference(
  flags: Int32Array,
  {
    value,
    otherwise,
    limit,
    random,
    seed,
    stream,
  }: Record<'value' | 'otherwise' | 'limit' | 'random' | 'seed' | 'stream', number>,
): { flags: Int32Array; count: number } {
  const key = (i: number) => (random ? randomU32(seed, stream, i) : i);
  const candidates = [...flags.keys()].filter((i) => flags[i] === value).sort((i, j) => key(i) - key(j));
  const result = flags.slice();
  for (const i of candidates.slice(limit)) result[i] = otherwise;
  return { flags: result, count: Math.min(limit, candidates.length) };
}
