/**
 * Radix select by many workgroups: finds the key of a given rank among thousands of u32 keys with four histograms of 8 bits,
 * starting at the leading digit. Each digit takes one dispatch, in which every workgroup counts one tile:
 *
 *   radix_select_clear   histograms u32 [4,256] = 0
 *   for digit 0 ... 3    every workgroup works out for itself, from the histogram of the digit before, which digit the wanted
 *                        key has there (`bin_of_rank`), counts the keys that share all digits so far, and adds its counts to
 *                        the histogram of this digit (`count_digit`). Workgroup 0 notes the digits found for the next dispatch
 *
 * WebGPU promises no progress between workgroups, so none waits for another within a dispatch. Integer atomics are used only for counting.
 */
import { kernel } from './kernel.ts';
import type { StageVariant } from './sequence.ts';

/** The number of keys that a workgroup of 256 lanes counts. */
export const SELECT_TILE = 1024;

/** The two numbers of a note: the leading digits, and the rank among the keys that share them, counted from 1. */
const NOTE = 2;

/** histograms [4,256], and a note before each digit; none for the variant of one workgroup. */
export const radixSelectScratch = (variant: StageVariant) => ({
  selectHistograms: variant === 'wide' ? 4 * 256 : 0,
  selectNotes: variant === 'wide' ? 4 * NOTE : 0,
});

export const radixSelectClear = kernel({
  name: 'radix_select_clear',
  buffers: { histograms: 'write u32' },
  uniforms: {},
  grid: () => [16, 1, 1],
  body: 'histograms[group.x * 64u + lane] = 0u;',
});

/**
 * For workgroups of 256 lanes and the buffers `histograms` (atomics) and `notes`.
 * `note_of(lane, digit, rank)`: what is known before a digit of the key of that rank, its leading digits and its rank among the
 * keys that have them.
 * `bin_of_rank(lane, count, rank)`: x, the first bin whose running total of the lanes' counts reaches `rank`; y, the rank
 * within that bin; z, the bin's count; w, the total of all. x is 256 if the total does not reach it. All lanes get the
 * result; the call needs uniform control flow.
 * `clear_bins`, then `count_digit` for each key, then `add_bins(lane, digit)`, with a barrier between them.
 */
export const RADIX_SELECT_WGSL = /* wgsl */ `
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> running: array<u32, 512>;
var<workgroup> rank_found: vec3u;

fn bin_of_rank(lane: u32, count: u32, rank: u32) -> vec4u {
  running[lane] = count;
  if (lane == 0u) { rank_found = vec3u(256u, 0u, 0u); }
  var own = count;
  var half = 0u; // the start of the half of running that was written last
  for (var step = 1u; step < 256u; step *= 2u) {
    workgroupBarrier();
    if (lane >= step) { own += running[half + lane - step]; }
    half = 256u - half;
    running[half + lane] = own;
  }
  if (own >= rank && own - count < rank) { rank_found = vec3u(lane, rank - (own - count), count); }
  workgroupBarrier();
  return vec4u(rank_found, running[half + 255u]);
}
fn note_of(lane: u32, digit: u32, rank: u32) -> vec2u {
  if (digit == 0u) { return vec2u(0u, rank); }
  let before = vec2u(notes[${NOTE}u * (digit - 1u)], notes[${NOTE}u * (digit - 1u) + 1u]);
  let found = bin_of_rank(lane, atomicLoad(&histograms[256u * (digit - 1u) + lane]), before.y);
  return vec2u((before.x << 8u) | found.x, found.y);
}
fn clear_bins(lane: u32) { atomicStore(&bins[lane], 0u); }
fn count_digit(key: u32, digit: u32) { atomicAdd(&bins[(key >> (24u - 8u * digit)) & 255u], 1u); }
fn add_bins(lane: u32, digit: u32) {
  let count = atomicLoad(&bins[lane]);
  if (count > 0u) { atomicAdd(&histograms[256u * digit + lane], count); }
}
/** Whether a key has the leading digits that were found before this one. */
fn shares_digits(key: u32, digit: u32, prefix: u32) -> bool {
  return digit == 0u || (key >> (32u - 8u * digit)) == prefix;
}
`;

/**
 * The body of a kernel that counts the digit `u.digit` and notes what was found before it. `rank` is an expression, the rank
 * of the wanted key; `key` are statements that define `key` for element i, or `continue` if the element takes no part.
 */
export const countDigitBody = (rank: string, key: string): string => /* wgsl */ `
  clear_bins(lane);
  let note = note_of(lane, u.digit, ${rank});
  workgroupBarrier();
  let end = min(u.n, (group.x + 1u) * ${SELECT_TILE}u);
  for (var i = group.x * ${SELECT_TILE}u + lane; i < end; i += 256u) {
    ${key}
    if (shares_digits(key, u.digit, note.x)) { count_digit(key, u.digit); }
  }
  workgroupBarrier();
  add_bins(lane, u.digit);
  if (group.x == 0u && lane == 0u) {
    notes[${NOTE}u * u.digit] = note.x;
    notes[${NOTE}u * u.digit + 1u] = note.y;
  }`;

const kthKey = (keys: Uint32Array, k: number): number => keys.slice().sort()[k - 1]!;

/** How often each digit occurs among the keys that share the digits before it with the k-th smallest, [256]. */
export function digitHistogramReference(keys: Uint32Array, k: number, digit: number): Uint32Array {
  const wanted = kthKey(keys, k);
  const histogram = new Uint32Array(256);
  const prefix = (key: number) => Math.floor(key / 2 ** (32 - 8 * digit));
  for (const key of keys) if (prefix(key) === prefix(wanted)) histogram[(key >>> (24 - 8 * digit)) & 255]!++;
  return histogram;
}

/** What is known before a digit: the leading digits of the k-th smallest key, and its rank among the keys that have them. */
export function digitNoteReference(keys: Uint32Array, k: number, digit: number): [prefix: number, rank: number] {
  const prefix = (key: number) => Math.floor(key / 2 ** (32 - 8 * digit));
  const leading = prefix(kthKey(keys, k));
  return [leading, k - keys.filter((key) => prefix(key) < leading).length];
}
