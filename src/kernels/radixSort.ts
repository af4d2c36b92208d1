/**
 * Stable radix sort of pairs (key u32, value u32) by ascending key, least significant digit first, and the keys that sort
 * scores in descending order.
 *
 * Eight passes of 4-bit digits, three dispatches each:
 *   radix_histogram   histogram [16,tiles]: how often each digit occurs in each tile of 1024 elements
 *   radix_scan        exclusive prefix sum over the whole histogram in place: where each tile's run of each digit starts
 *   radix_scatter     every element moves to its run, in its old order
 * A tile is 64 threads of 16 contiguous elements, so a thread's rank follows from the threads before it and stability needs
 * no sort inside the tile. Integer atomics count only; the order never depends on them.
 *
 * `slices` independent arrays of n elements, one after another, are sorted by one dispatch (workgroup_id.z).
 */
import { ceilDiv, kernel } from './kernel.ts';
import type { Run, StageBuffers } from './sequence.ts';

const TILE = 1024;

/** The key of an element that takes no part: after every finite score. */
export const LAST_KEY = 0xffffffff;

/** `sort_key(score)`: descending scores get ascending keys, ties the same key, NaN and infinities LAST_KEY. `key_score` inverts it. */
export const SORT_KEY_WGSL = /* wgsl */ `
const LAST_KEY = 0xffffffffu;
fn sort_key(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  if ((bits & 0x7f800000u) == 0x7f800000u) { return LAST_KEY; }
  if (bits == 0x80000000u) { return 0x7fffffffu; }  // -0 sorts as 0
  return select(0x7fffffffu - bits, bits, bits >= 0x80000000u);
}
fn key_score(key: u32) -> f32 {
  return bitcast<f32>(select(0x7fffffffu - key, key, key >= 0x80000000u));
}
`;

/** `sort_key` of the shader, for references. */
export function sortKey(score: number): number {
  const bits = new Uint32Array(new Float32Array([score]).buffer)[0]!;
  if ((bits & 0x7f800000) === 0x7f800000) return LAST_KEY;
  if (bits === 0x80000000) return 0x7fffffff;
  return bits >= 0x80000000 ? bits : 0x7fffffff - bits;
}

export const radixHistogram = kernel({
  name: 'radix_histogram',
  buffers: { keys: 'read u32', histogram: 'write u32' },
  uniforms: { n: 'u32', slices: 'u32', shift: 'u32' },
  grid: ({ n, slices }) => [ceilDiv(n, TILE), 1, slices],
  wgsl: /* wgsl */ `
var<workgroup> counts: array<atomic<u32>, 16>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (lane < 16u) { atomicStore(&counts[lane], 0u); }
  workgroupBarrier();
  let end = min(u.n, (group.x + 1u) * ${TILE}u);
  for (var i = group.x * ${TILE}u + lane; i < end; i += 64u) {
    atomicAdd(&counts[(keys[group.z * u.n + i] >> u.shift) & 15u], 1u);
  }
  workgroupBarrier();
  if (lane < 16u) { histogram[(group.z * 16u + lane) * groups.x + group.x] = atomicLoad(&counts[lane]); }
}`,
});

export const radixScan = kernel({
  name: 'radix_scan',
  buffers: { histogram: 'read_write u32' },
  uniforms: { n: 'u32', slices: 'u32' },
  grid: ({ slices }) => [1, 1, slices],
  wgsl: /* wgsl */ `
var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let length = 16u * ((u.n + ${TILE - 1}u) / ${TILE}u);
  let each = (length + 255u) / 256u;
  let first = group.z * length + min(length, lane * each);
  let end = group.z * length + min(length, (lane + 1u) * each);
  var sum = 0u;
  for (var i = first; i < end; i++) { sum += histogram[i]; }
  sums[lane] = sum;
  for (var step = 1u; step < 256u; step <<= 1u) {
    workgroupBarrier();
    var before = 0u;
    if (lane >= step) { before = sums[lane - step]; }
    workgroupBarrier();
    sums[lane] += before;
  }
  var start = sums[lane] - sum;
  for (var i = first; i < end; i++) {
    let count = histogram[i];
    histogram[i] = start;
    start += count;
  }
}`,
});

export const radixScatter = kernel({
  name: 'radix_scatter',
  buffers: { keys: 'read u32', values: 'read u32', starts: 'read u32', keysOut: 'write u32', valuesOut: 'write u32' },
  uniforms: { n: 'u32', slices: 'u32', shift: 'u32' },
  grid: ({ n, slices }) => [ceilDiv(n, TILE), 1, slices],
  wgsl: /* wgsl */ `
var<workgroup> counts: array<u32, 1024>;  // [16][64]: per digit and thread, then where the thread's next one goes

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let base = group.z * u.n;
  let first = min(u.n, group.x * ${TILE}u + lane * 16u);
  let end = min(u.n, first + 16u);
  for (var digit = 0u; digit < 16u; digit++) { counts[digit * 64u + lane] = 0u; }
  for (var i = first; i < end; i++) { counts[((keys[base + i] >> u.shift) & 15u) * 64u + lane]++; }
  workgroupBarrier();
  if (lane < 16u) {
    var start = starts[(group.z * 16u + lane) * groups.x + group.x];
    for (var thread = 0u; thread < 64u; thread++) {
      let count = counts[lane * 64u + thread];
      counts[lane * 64u + thread] = start;
      start += count;
    }
  }
  workgroupBarrier();
  for (var i = first; i < end; i++) {
    let key = keys[base + i];
    let slot = ((key >> u.shift) & 15u) * 64u + lane;
    keysOut[base + counts[slot]] = key;
    valuesOut[base + counts[slot]] = values[base + i];
    counts[slot]++;
  }
}`,
});

export interface RadixSortParams {
  /** Elements of a slice. */
  n: number;
  slices?: number;
}

export const radixSortScratch = ({ n, slices = 1 }: RadixSortParams) => ({
  sortKeys: slices * n,
  sortValues: slices * n,
  sortHistogram: slices * 16 * ceilDiv(n, TILE),
});

/** The digits from the least significant; an even number of passes, so the result lies where the input was. */
export const radixSortPasses = (): { shift: number; swapped: boolean }[] =>
  Array.from({ length: 8 }, (_, i) => ({ shift: 4 * i, swapped: i % 2 === 1 }));

/** Sorts keys and values, [slices,n] each, in place. */
export function recordRadixSort<H>(
  run: Run<H>,
  buffers: StageBuffers<H, 'keys' | 'values', typeof radixSortScratch>,
  { n, slices = 1 }: RadixSortParams,
): void {
  const { keys, values, sortKeys, sortValues, sortHistogram: histogram } = buffers;
  for (const { shift, swapped } of radixSortPasses()) {
    const [k, v, keysOut, valuesOut] = swapped
      ? [sortKeys, sortValues, keys, values]
      : [keys, values, sortKeys, sortValues];
    run(radixHistogram, { keys: k, histogram }, { n, slices, shift });
    run(radixScan, { histogram }, { n, slices });
    run(radixScatter, { keys: k, values: v, starts: histogram, keysOut, valuesOut }, { n, slices, shift });
  }
}

/** histogram [16,tiles] of one slice. */
export function radixHistogramReference(keys: Uint32Array, shift: number): Uint32Array {
  const tiles = ceilDiv(keys.length, TILE);
  const histogram = new Uint32Array(16 * tiles);
  keys.forEach((key, i) => histogram[((key >>> shift) & 15) * tiles + Math.floor(i / TILE)]!++);
  return histogram;
}

export function exclusiveScanReference(counts: Uint32Array): Uint32Array {
  const starts = new Uint32Array(counts.length);
  for (let i = 1; i < counts.length; i++) starts[i] = starts[i - 1]! + counts[i - 1]!;
  return starts;
}

/** One pass: the order of the elements after a stable sort by the digit at `shift`. */
export function radixPassReference(keys: Uint32Array, shift: number): number[] {
  return [...keys.keys()].sort((i, j) => ((keys[i]! >>> shift) & 15) - ((keys[j]! >>> shift) & 15) || i - j);
}

/** The order of the elements after a stable sort by whole keys. */
export function sortReference(keys: Uint32Array): number[] {
  return [...keys.keys()].sort((i, j) => keys[i]! - keys[j]! || i - j);
}
