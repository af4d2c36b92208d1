/**
 * Stable radix sort of pairs (key u32, value u32) by ascending key, least significant digit first, and the keys that sort
 * scores in descending order.
 *
 * Four passes of 8-bit digits, two dispatches each:
 *   radix_histogram   histogram [tiles,256]: how often each digit occurs in each tile of 1024 elements
 *   radix_scatter     every element moves to the run of its digit, in its old order. Each tile sums up the histogram for
 *                     itself: its run of a digit starts after the smaller digits of all tiles and the same digit of
 *                     earlier tiles. That costs tiles^2 reads in all but saves a third dispatch; there are some ten tiles
 * Inside a tile the elements are first sorted by the digit's low half, then by its high half: 64 threads of 16 contiguous
 * elements, each with its own count of 16 digits, so a thread's rank follows from the threads before it. Integer atomics
 * are used only for counting; the order never depends on them. If one tile holds all elements, one dispatch does all passes.
 *
 * On a GPU, radix_scatter_wide and radix_sort_tile_wide give four elements to each of 256 threads. A thread works through its
 * elements one after the other, so half a digit takes some 1700 cycles instead of the 6000 of 16 elements.
 *
 * `slices` independent arrays of n elements, one after another, are sorted by one dispatch (workgroup_id.z).
 */
import { ceilDiv, kernel } from './kernel.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';
import { unroll } from './text.ts';

const TILE = 1024;

/** The key of an element that takes no part. It comes after the key of every finite score. */
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
  buffers: { keys: 'read u32', histogram: 'write vec4u' },
  uniforms: { n: 'u32', slices: 'u32', shift: 'u32' },
  grid: ({ n, slices }) => [ceilDiv(n, TILE), 1, slices],
  functions: 'var<workgroup> counts: array<atomic<u32>, 256>;',
  body: /* wgsl */ `
  for (var k = 0u; k < 4u; k++) { atomicStore(&counts[4u * lane + k], 0u); }
  workgroupBarrier();
  let end = min(u.n, (group.x + 1u) * ${TILE}u);
  for (var i = group.x * ${TILE}u + lane; i < end; i += 64u) {
    atomicAdd(&counts[(keys[group.z * u.n + i] >> u.shift) & 255u], 1u);
  }
  workgroupBarrier();
  let at = 4u * lane;
  histogram[(group.z * groups.x + group.x) * 64u + lane] =
    vec4u(atomicLoad(&counts[at]), atomicLoad(&counts[at + 1u]), atomicLoad(&counts[at + 2u]), atomicLoad(&counts[at + 3u]));`,
});

/**
 * `sort_by_half`: a stable sort of up to 1024 `items` in workgroup memory by `digit_of(item, shift)`, four bits, which the
 * shader defines; and `sum_before`. For workgroups of 64 threads.
 */
const HALF_DIGIT_WGSL = /* wgsl */ `
var<workgroup> items: array<u32, ${TILE}>;
var<workgroup> counts: array<u32, 1024>;    // [16][64]: per half digit and thread, then where the thread's next one goes
var<workgroup> sums: array<vec2u, 64>;

/** The sums of the lanes before this one. */
fn sum_before(lane: u32, own: vec2u) -> vec2u {
  workgroupBarrier();
  sums[lane] = own;
  workgroupBarrier();
  if (lane < 8u) {
    var total = vec2u(0u);
    for (var k = 0u; k < 8u; k++) {
      let value = sums[8u * lane + k];
      sums[8u * lane + k] = total;
      total += value;
    }
    counts[2u * lane] = total.x;
    counts[2u * lane + 1u] = total.y;
  }
  workgroupBarrier();
  var result = sums[lane];
  for (var k = 0u; k < lane / 8u; k++) { result += vec2u(counts[2u * k], counts[2u * k + 1u]); }
  workgroupBarrier();
  return result;
}

/** Sorts the first size items by four bits. */
fn sort_by_half(lane: u32, size: u32, shift: u32) {
  let first = min(size, lane * 16u);
  let own = min(size, first + 16u) - first;
  var held: array<u32, 16>;
  for (var k = 0u; k < own; k++) { held[k] = items[first + k]; }
  for (var half = 0u; half < 16u; half++) { counts[half * 64u + lane] = 0u; }
  for (var k = 0u; k < own; k++) { counts[digit_of(held[k], shift) * 64u + lane]++; }
  workgroupBarrier();
  var run: array<u32, 16>;
  var total = 0u;
  for (var k = 0u; k < 16u; k++) {
    run[k] = total;
    total += counts[lane * 16u + k];
  }
  let before = sum_before(lane, vec2u(total, 0u)).x;
  for (var k = 0u; k < 16u; k++) { counts[lane * 16u + k] = before + run[k]; }
  workgroupBarrier();
  for (var k = 0u; k < own; k++) {
    let slot = digit_of(held[k], shift) * 64u + lane;
    items[counts[slot]] = held[k];
    counts[slot]++;
  }
  workgroupBarrier();
}
`;

/**
 * `sort_by_half` by 256 threads of four elements. Counts of half digits d and d + 8 share a word, 16 bits each, so that the
 * table is 8 KiB and a workgroup stays within the 16 KiB that every device has. A running total over all words, in the order
 * of half digits and then threads, gives in the low bits the places of digits below 8, and in the high bits those of the
 * others, to which the total of the low ones is added. `scan(lane, own)` gives the sum of the lanes before and of all lanes; it
 * uses the memory of `items`, which the threads hold in registers at that time.
 */
const WIDE_HALF_DIGIT_WGSL = /* wgsl */ `
var<workgroup> items: array<u32, ${TILE}>;
var<workgroup> counts: array<u32, 2048>;    // [8][256]

fn scan(lane: u32, own: u32) -> vec2u {
  var sum = own;
  var half = 0u; // the half of the array that was written last
  workgroupBarrier();
  items[lane] = own;
  for (var step = 1u; step < 256u; step *= 2u) {
    workgroupBarrier();
    if (lane >= step) { sum += items[half + lane - step]; }
    half = 256u - half;
    items[half + lane] = sum;
  }
  workgroupBarrier();
  let all = items[half + 255u];
  workgroupBarrier();
  return vec2u(sum - own, all);
}

fn slot_of(digit: u32, lane: u32) -> u32 { return (digit & 7u) * 256u + lane; }

/** Sorts the first size items by four bits. */
fn sort_by_half(lane: u32, size: u32, shift: u32) {
  let first = 4u * lane;
  ${unroll(4, (k) => `let held${k} = items[first + ${k}u]; let digit${k} = digit_of(held${k}, shift);`)}
  for (var k = 0u; k < 8u; k++) { counts[k * 256u + lane] = 0u; }
  ${unroll(4, (k) => `if (first + ${k}u < size) { counts[slot_of(digit${k}, lane)] += 1u << (2u * (digit${k} & 8u)); }`)}
  workgroupBarrier();
  var run: array<u32, 8>;
  var total = 0u;
  for (var k = 0u; k < 8u; k++) {
    run[k] = total;
    total += counts[lane * 8u + k];
  }
  let before = scan(lane, total);
  let start = before.x + ((before.y & 0xffffu) << 16u);
  for (var k = 0u; k < 8u; k++) { counts[lane * 8u + k] = start + run[k]; }
  workgroupBarrier();
${unroll(
  4,
  (k) => `  if (first + ${k}u < size) {
    let slot = slot_of(digit${k}, lane);
    let high = 2u * (digit${k} & 8u);
    items[(counts[slot] >> high) & 0xffffu] = held${k};
    counts[slot] += 1u << high;
  }`,
)}
  workgroupBarrier();
}
`;

/**
 * The scatter of one pass by `lanes` threads: `countDigits` are statements that set `moves`, how far each digit's elements
 * move between the sorted tile and the output; then the tile is sorted by its digit, half by half, and moves as sorted.
 */
const scatter = (
  name: string,
  lanes: number,
  sortByHalf: string,
  histogram: 'read u32' | 'read vec4u',
  countDigits: string,
) =>
  kernel({
    name,
    buffers: { keys: 'read u32', values: 'read u32', histogram, keysOut: 'write u32', valuesOut: 'write u32' },
    uniforms: { n: 'u32', slices: 'u32', shift: 'u32' },
    grid: ({ n, slices }) => [ceilDiv(n, TILE), 1, slices],
    lanes,
    functions: /* wgsl */ `
// An item is digit * 1024 + place in the tile.
var<workgroup> moves: array<u32, 256>;      // per digit: place in the output - place in the sorted tile, modulo 2^32
${sortByHalf}
fn digit_of(item: u32, shift: u32) -> u32 { return (item >> shift) & 15u; }`,
    body: /* wgsl */ `
  let base = group.z * u.n;
  let first = group.x * ${TILE}u;
  let size = min(u.n - first, ${TILE}u);
  ${countDigits.trim()}
  for (var i = lane; i < size; i += ${lanes}u) {
    items[i] = (((keys[base + first + i] >> u.shift) & 255u) << 10u) | i;
  }
  workgroupBarrier();
  sort_by_half(lane, size, 10u);
  sort_by_half(lane, size, 14u);
  for (var i = lane; i < size; i += ${lanes}u) {
    let item = items[i];
    let source = base + first + (item & 1023u);
    let place = base + i + moves[item >> 10u];
    keysOut[place] = keys[source];
    valuesOut[place] = values[source];
  }`,
  });

/** Lane l counts the digits 4 l ... 4 l + 3. */
export const radixScatter = scatter(
  'radix_scatter',
  64,
  HALF_DIGIT_WGSL,
  'read vec4u',
  /* wgsl */ `
  var all = vec4u(0u);
  var earlier = vec4u(0u);
  var own = vec4u(0u);
  for (var tile = 0u; tile < groups.x; tile++) {
    let count = histogram[(group.z * groups.x + tile) * 64u + lane];
    all += count;
    if (tile < group.x) { earlier += count; }
    if (tile == group.x) { own = count; }
  }
  var starts = sum_before(lane, vec2u(all.x + all.y + all.z + all.w, own.x + own.y + own.z + own.w));
  for (var k = 0u; k < 4u; k++) {
    moves[4u * lane + k] = starts.x + earlier[k] - starts.y;
    starts += vec2u(all[k], own[k]);
  }`,
);

/** `radixScatter` for a GPU. Lane l counts digit l. */
export const radixScatterWide = scatter(
  'radix_scatter_wide',
  256,
  WIDE_HALF_DIGIT_WGSL,
  'read u32',
  /* wgsl */ `
  var all = 0u;
  var earlier = 0u;
  var own = 0u;
  for (var tile = 0u; tile < groups.x; tile++) {
    let count = histogram[(group.z * groups.x + tile) * 256u + lane];
    all += count;
    earlier += select(0u, count, tile < group.x);
    own += select(0u, count, tile == group.x);
  }
  moves[lane] = scan(lane, all).x + earlier - scan(lane, own).x;`,
);

/** The whole sort for slices of one tile: eight half digits in workgroup memory, in place. An item is a place in the slice. */
export const radixSortTile = kernel({
  name: 'radix_sort_tile',
  buffers: { keys: 'read_write u32', values: 'read_write u32' },
  uniforms: { n: 'u32', slices: 'u32' },
  grid: ({ slices }) => [1, 1, slices],
  functions: /* wgsl */ `
var<workgroup> tile_keys: array<u32, ${TILE}>;
fn digit_of(item: u32, shift: u32) -> u32 { return (tile_keys[item] >> shift) & 15u; }
${HALF_DIGIT_WGSL}`,
  body: /* wgsl */ `
  let base = group.z * u.n;
  for (var i = lane; i < u.n; i += 64u) {
    tile_keys[i] = keys[base + i];
    items[i] = i;
  }
  workgroupBarrier();
  for (var shift = 0u; shift < 32u; shift += 4u) { sort_by_half(lane, u.n, shift); }
  // Every value is read before any is overwritten.
  var held: array<u32, 16>;
  for (var k = 0u; k < 16u; k++) { held[k] = values[base + items[min(lane + 64u * k, u.n - 1u)]]; }
  storageBarrier();
  for (var k = 0u; k < 16u; k++) {
    let i = lane + 64u * k;
    if (i < u.n) {
      keys[base + i] = tile_keys[items[i]];
      values[base + i] = held[k];
    }
  }`,
});

/** `radixSortTile` for a GPU. */
export const radixSortTileWide = kernel({
  name: 'radix_sort_tile_wide',
  buffers: { keys: 'read_write u32', values: 'read_write u32' },
  uniforms: { n: 'u32', slices: 'u32' },
  grid: ({ slices }) => [1, 1, slices],
  lanes: 256,
  functions: /* wgsl */ `
var<workgroup> tile_keys: array<u32, ${TILE}>;
fn digit_of(item: u32, shift: u32) -> u32 { return (tile_keys[item & 1023u] >> shift) & 15u; }
${WIDE_HALF_DIGIT_WGSL}`,
  body: /* wgsl */ `
  let base = group.z * u.n;
  for (var i = lane; i < u.n; i += 256u) {
    tile_keys[i] = keys[base + i];
    items[i] = i;
  }
  workgroupBarrier();
  for (var shift = 0u; shift < 32u; shift += 4u) { sort_by_half(lane, u.n, shift); }
  // Every value is read before any is overwritten.
  ${unroll(4, (k) => `let value${k} = values[base + items[min(lane + ${256 * k}u, u.n - 1u)]];`)}
  storageBarrier();
${unroll(
  4,
  (k) => `  if (lane + ${256 * k}u < u.n) {
    keys[base + lane + ${256 * k}u] = tile_keys[items[lane + ${256 * k}u]];
    values[base + lane + ${256 * k}u] = value${k};
  }`,
)}`,
});

export interface RadixSortParams {
  /** The number of elements in a slice. */
  n: number;
  slices?: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

/** Slices of one tile need no scratch. */
export const radixSortScratch = ({ n, slices = 1 }: RadixSortParams) => {
  const size = n > TILE ? slices * n : 0;
  return { sortKeys: size, sortValues: size, sortHistogram: size && slices * 256 * ceilDiv(n, TILE) };
};

/** The digits from the least significant on. The number of passes is even, so the result ends up where the input was. */
const radixSortPasses = (): { shift: number; swapped: boolean }[] =>
  Array.from({ length: 4 }, (_, i) => ({ shift: 8 * i, swapped: i % 2 === 1 }));

/** Sorts keys and values, [slices,n] each, in place. */
export function recordRadixSort<H>(
  run: Run<H>,
  buffers: StageBuffers<H, 'keys' | 'values', typeof radixSortScratch>,
  { n, slices = 1, variant = 'narrow' }: RadixSortParams,
): void {
  const { keys, values, sortKeys, sortValues, sortHistogram: histogram } = buffers;
  if (n <= TILE) {
    run(variant === 'wide' ? radixSortTileWide : radixSortTile, { keys, values }, { n, slices });
    return;
  }
  for (const { shift, swapped } of radixSortPasses()) {
    const [k, v, keysOut, valuesOut] = swapped
      ? [sortKeys, sortValues, keys, values]
      : [keys, values, sortKeys, sortValues];
    run(radixHistogram, { keys: k, histogram }, { n, slices, shift });
    const moved = { keys: k, values: v, histogram, keysOut, valuesOut };
    run(variant === 'wide' ? radixScatterWide : radixScatter, moved, { n, slices, shift });
  }
}

/** histogram [tiles,256] of one slice. */
export function radixHistogramReference(keys: Uint32Array, shift: number): Uint32Array {
  const histogram = new Uint32Array(256 * ceilDiv(keys.length, TILE));
  keys.forEach((key, i) => histogram[Math.floor(i / TILE) * 256 + ((key >>> shift) & 255)]!++);
  return histogram;
}

/** One pass: the order of the elements after a stable sort by the digit at `shift`. */
export function radixPassReference(keys: Uint32Array, shift: number): number[] {
  return [...keys.keys()].sort((i, j) => ((keys[i]! >>> shift) & 255) - ((keys[j]! >>> shift) & 255) || i - j);
}

/** The order of the elements after a stable sort by whole keys. */
export function sortReference(keys: Uint32Array): number[] {
  return [...keys.keys()].sort((i, j) => keys[i]! - keys[j]! || i - j);
}
