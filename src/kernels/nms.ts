/**
 * Non-maximum suppression by bit masks, greedy in the order of descending scores, without leaving the GPU.
 *
 *   nms_keys       scores [n] -> keys, order = 0..n-1                         then the radix sort of radixSort.ts
 *   gather_sorted  the first K boxes in sorted order, and how many are valid  (elements with LAST_KEY are not)
 *   then for each block of 1024 sorted boxes:
 *   nms_removed    removed [32] u32: the boxes of the block that are suppressed by boxes kept from earlier blocks
 *   nms_mask       mask [1024, 32] u32: bit j of row i says that box i, if kept, suppresses the later box j of the block, because
 *                  intersection > threshold * union (strictly, as in py_cpu_nms.py and nms_kernel.cu); 0 if j is removed already
 *   nms_sweep      one workgroup walks over the block, 32 boxes at a time; kept holds indices into the sorted order
 *                  (nms_sweep_wide on a GPU)
 *   nms_keep_all   in place of these three where nothing is to be suppressed
 *   nms_original   kept indices into the sorted order -> indices into the input
 *
 * A box is compared only with the boxes kept so far and with those of its own block, and all work ends once maxOutput boxes
 * are kept. For 12000 proposals of which 2000 are kept, that is a fifteenth of the pairs that nms_kernel.cu compares.
 *
 * Only words at or right of the diagonal of a mask are written, and only those are read. `slices` independent problems
 * of equal capacity (one per class) run in one dispatch (workgroup_id.z).
 */
import { BOXES_WGSL, boxAt, type Box } from './boxes.ts';
import { ceilDiv, type Grid, kernel } from './kernel.ts';
import { LAST_KEY, radixSortScratch, recordRadixSort, SORT_KEY_WGSL, sortKey } from './radixSort.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';
import { unroll } from './text.ts';

/** The number of boxes in a block; a power of two. */
const BLOCK = 1024;

/** Rows and words of a mask: those of a block, or of all boxes if they are fewer. */
const blockRows = (capacity: number): number => Math.min(capacity, BLOCK);
const blockWords = (capacity: number): number => ceilDiv(blockRows(capacity), 32);

export const nmsKeys = kernel({
  name: 'nms_keys',
  buffers: { scores: 'read', keys: 'write u32', order: 'write u32' },
  uniforms: { n: 'u32' },
  each: 'n',
  lanes: 256,
  functions: SORT_KEY_WGSL,
  body: /* wgsl */ `
  keys[i] = sort_key(scores[i]);
  order[i] = i;`,
});

/** keys, order [slices,n] sorted; boxes [slices,n,4] unsorted -> sorted [slices,capacity,4], counts [slices]; capacity <= n. */
export const gatherSorted = kernel({
  name: 'gather_sorted',
  buffers: { keys: 'read u32', order: 'read u32', boxes: 'read vec4f', sorted: 'write vec4f', counts: 'write u32' },
  uniforms: { n: 'u32', capacity: 'u32', slices: 'u32' },
  grid: ({ capacity, slices }) => [ceilDiv(capacity, 64), 1, slices],
  functions: SORT_KEY_WGSL,
  body: /* wgsl */ `
  let k = group.x * 64u + lane;
  if (k >= u.capacity) { return; }
  let base = group.z * u.n;
  let valid = keys[base + k] != LAST_KEY;
  sorted[group.z * u.capacity + k] = select(vec4f(0.0), boxes[base + order[base + k]], valid);
  // Invalid elements come last in the order, so exactly one invocation is at the border.
  if (valid && (k + 1u == u.capacity || keys[base + k + 1u] == LAST_KEY)) { counts[group.z] = k + 1u; }
  if (k == 0u && !valid) { counts[group.z] = 0u; }`,
});

/** Rows that an invocation holds in registers while it goes through the 32 boxes of a word. */
const MASK_ROWS = 8;
/** Rows that a workgroup handles. */
const MASK_GROUP = 32 * MASK_ROWS;

const everyRow = (line: (k: number) => string) => unroll(MASK_ROWS, line);

/** `first_bits(n)`: the lowest n bits are ones. */
const FIRST_BITS_WGSL = /* wgsl */ `
fn first_bits(n: u32) -> u32 { return select((1u << (n & 31u)) - 1u, 0xffffffffu, n >= 32u); }
`;

/**
 * Most of the time goes into reading the 32 boxes of a word, so every read serves eight rows (lavapipe, 1000 boxes: 1.2 ms with
 * one row, 0.43 ms with eight). Boxes are not copied to workgroup memory: on lavapipe a barrier costs more than the reads.
 */
const WORD_WGSL = /* wgsl */ `
${BOXES_WGSL}

fn suppresses(a: vec4f, a_area: f32, b: vec4f, b_area: f32) -> bool {
  let inter = intersection_area(a, b, u.plusOne);
  return inter > u.threshold * (a_area + b_area - inter);
}
fn block_words() -> u32 { return (min(u.capacity, ${BLOCK}u) + 31u) / 32u; }
${FIRST_BITS_WGSL}`;

/** Sets in removed u32 [slices,words] the bits of boxes that a kept box suppresses. It runs from the second block on. */
export const nmsRemoved = kernel({
  name: 'nms_removed',
  buffers: {
    sorted: 'read vec4f',
    counts: 'read u32',
    kept: 'read u32',
    keptCounts: 'read u32',
    removed: 'read_write atomic<u32>',
  },
  uniforms: {
    capacity: 'u32',
    slices: 'u32',
    maxOutput: 'u32',
    block: 'u32',
    threshold: 'f32',
    plusOne: 'f32',
  },
  grid: ({ capacity, slices, maxOutput, block }) => [
    ceilDiv(Math.min(maxOutput, block * BLOCK), MASK_GROUP),
    ceilDiv(Math.min(capacity - block * BLOCK, BLOCK), 32),
    slices,
  ],
  lanes: 32,
  functions: WORD_WGSL,
  body: /* wgsl */ `
  let count = counts[group.z];
  let base = group.z * u.capacity;
  let column = u.block * ${BLOCK}u + group.y * 32u;
  let word = group.z * block_words() + group.y;
  let rows = keptCounts[group.z];
  let first = group.x * ${MASK_GROUP}u + lane;
  if (column >= count || first >= rows || rows >= u.maxOutput) { return; }
  let list = group.z * u.maxOutput;
${everyRow((k) => `  let row${k} = sorted[base + kept[list + min(first + ${32 * k}u, rows - 1u)]]; let area${k} = box_area(row${k}, u.plusOne);`)}
  var bits = 0u;
  // Boxes that other rows have removed by now are skipped. How many those are does not change the result.
  for (var rest = first_bits(count - column) & ~atomicLoad(&removed[word]); rest != 0u; rest &= rest - 1u) {
    let j = countTrailingZeros(rest);
    let box = sorted[base + column + j];
    let area = box_area(box, u.plusOne);
    var gone = false;
${everyRow((k) => `    gone = gone | suppresses(row${k}, area${k}, box, area);`)}
    bits |= u32(gone) << j;
  }
  if (bits != 0u) { atomicOr(&removed[word], bits); }`,
});

/** mask [slices, rows, words] of one block. A workgroup writes one word in each of 256 rows. */
export const nmsMask = kernel({
  name: 'nms_mask',
  buffers: {
    sorted: 'read vec4f',
    counts: 'read u32',
    keptCounts: 'read u32',
    removed: 'read u32',
    mask: 'write u32',
  },
  uniforms: { capacity: 'u32', slices: 'u32', maxOutput: 'u32', block: 'u32', threshold: 'f32', plusOne: 'f32' },
  grid: ({ capacity, slices, block }) => {
    const rows = Math.min(capacity - block * BLOCK, BLOCK);
    return [ceilDiv(rows, 32), ceilDiv(rows, MASK_GROUP), slices];
  },
  lanes: 32,
  functions: /* wgsl */ `
${WORD_WGSL}
/** Stores those bits of a word that lie right of the diagonal: all, some or none. */
fn write_word(top: u32, row: u32, count: u32, column: u32, words: u32, bits: u32) {
  if (row >= count || row >= column + 32u) { return; }
  var later = 0xffffffffu;
  if (row >= column) { later = 0xfffffffeu << (row - column); }
  mask[(top + row) * words + column / 32u] = bits & later;
}`,
  body: /* wgsl */ `
  let start = u.block * ${BLOCK}u;
  let count = max(counts[group.z], start) - start;
  let base = group.z * u.capacity + start;
  let column = group.x * 32u;
  let first = group.y * ${MASK_GROUP}u + lane;
  if (column >= count || column + 31u < group.y * ${MASK_GROUP}u) { return; }
  if (u.block > 0u && keptCounts[group.z] >= u.maxOutput) { return; }
${everyRow((k) => `  let row${k} = sorted[base + min(first + ${32 * k}u, count - 1u)]; let area${k} = box_area(row${k}, u.plusOne); var bits${k} = 0u;`)}
  // Boxes that are already removed need no bits.
  let gone = select(removed[group.z * block_words() + group.x], 0u, u.block == 0u);
  for (var rest = first_bits(count - column) & ~gone; rest != 0u; rest &= rest - 1u) {
    let j = countTrailingZeros(rest);
    let box = sorted[base + column + j];
    let area = box_area(box, u.plusOne);
${everyRow((k) => `    bits${k} |= u32(suppresses(row${k}, area${k}, box, area)) << j;`)}
  }
  let words = block_words();
  let top = group.z * min(u.capacity, ${BLOCK}u);
${everyRow((k) => `  write_word(top, first + ${32 * k}u, count, column, words, bits${k});`)}`,
});

/** The buffers, uniforms and grid of both kernels that sweep a block. */
const SWEEP = {
  buffers: {
    mask: 'read u32',
    counts: 'read u32',
    removed: 'read_write u32',
    kept: 'write u32',
    keptCounts: 'read_write u32',
  },
  uniforms: { capacity: 'u32', slices: 'u32', maxOutput: 'u32', block: 'u32' },
  grid: ({ slices }: Readonly<Record<'capacity' | 'slices' | 'maxOutput' | 'block', number>>): Grid => [1, 1, slices],
} as const;

/** Appends the survivors of one block to kept. keptCounts and removed need not be initialised; afterwards removed is zero. */
export const nmsSweep = kernel({
  name: 'nms_sweep',
  ...SWEEP,
  lanes: BLOCK / 32,
  functions: /* wgsl */ `
var<workgroup> gone_words: array<u32, ${BLOCK / 32}>;
var<workgroup> diagonal: array<u32, 32>;
var<workgroup> shared_count: u32;`,
  body: /* wgsl */ `
  let start = u.block * ${BLOCK}u;
  let height = min(u.capacity, ${BLOCK}u);
  let words = (height + 31u) / 32u;
  let base = group.z * height;
  var total = select(keptCounts[group.z], 0u, u.block == 0u);
  if (lane < words) {
    let full = total >= u.maxOutput;
    gone_words[lane] = select(select(removed[group.z * words + lane], 0u, u.block == 0u), 0xffffffffu, full);
    removed[group.z * words + lane] = 0u;
  }
  if (lane == 0u) { shared_count = min(max(counts[group.z], start) - start, ${BLOCK}u); }
  let count = workgroupUniformLoad(&shared_count);
  for (var part = 0u; part < (count + 31u) / 32u; part++) {
    let gone = workgroupUniformLoad(&gone_words[part]);
    if (gone == 0xffffffffu) { continue; }
    let row = part * 32u + lane;
    if (row < count) { diagonal[lane] = mask[(base + row) * words + part]; }
    workgroupBarrier();
    // Every lane decides the 32 boxes for itself; then each updates its own word with the rows that stay.
    var keep = 0u;
    var rest = ~gone;
    if (count - part * 32u < 32u) { rest &= (1u << (count - part * 32u)) - 1u; }
    for (var room = u.maxOutput - total; rest != 0u && room > 0u; room--) {
      let i = countTrailingZeros(rest);
      keep |= 1u << i;
      rest &= ~(diagonal[i] | (1u << i));
    }
    if (((keep >> lane) & 1u) == 1u) {
      kept[group.z * u.maxOutput + total + countOneBits(keep & ((1u << lane) - 1u))] = start + row;
    }
    total += countOneBits(keep);
    if (lane > part && lane < (count + 31u) / 32u) {
      var bits = select(gone_words[lane], 0xffffffffu, total == u.maxOutput);
      for (var kept_rows = keep; kept_rows != 0u && bits != 0xffffffffu; kept_rows &= kept_rows - 1u) {
        bits |= mask[(base + part * 32u + countTrailingZeros(kept_rows)) * words + lane];
      }
      gone_words[lane] = bits;
    }
  }
  storageBarrier(); // every lane has read the count that is replaced
  if (lane == 0u) { keptCounts[group.z] = total; }`,
});

/** Lanes of the wide sweep, and how many of 32 rows each lane holds of its word. */
const SWEEP_LANES = 256;
const SWEEP_ROWS = BLOCK / SWEEP_LANES;

/**
 * `nmsSweep` for GPUs. The lanes of `nmsSweep` read up to 32 rows of the mask one after the other, and each read takes a GPU some
 * 500 cycles, so 32 boxes take up to 18000 cycles and a block 0.35 ms. Here only arithmetic lies between one part of 32 boxes
 * and the next:
 *   - the words on the diagonal are copied to workgroup memory at the start, 4 KiB;
 *   - 256 lanes hold the words of all 32 rows, four each, and request those of the next part before they decide this one;
 *   - the decision is unrolled, three operations per box with the diagonal in registers, about 450 cycles for 32 boxes, and every
 *     lane makes it for itself, so that no barrier is needed;
 *   - the rows of kept boxes are combined by atomicOr, which gives the same bits in any order, before a part's only barrier.
 * That makes about 650 cycles per part and 12 us per block at 1.7 GHz, however many boxes are kept.
 */
export const nmsSweepWide = kernel({
  name: 'nms_sweep_wide',
  ...SWEEP,
  lanes: SWEEP_LANES,
  functions: /* wgsl */ `
var<workgroup> gone_words: array<atomic<u32>, ${BLOCK / 32}>;
var<workgroup> diagonals: array<vec4u, ${BLOCK / 4}>;
var<workgroup> shared_total: u32;
${FIRST_BITS_WGSL}
/** The word of a row right of the diagonal; the others are not written and must not be read. */
fn word_of(base: u32, row: u32, count: u32, word: u32, words: u32) -> u32 {
  if (row >= count || word <= row / 32u || word * 32u >= count) { return 0u; }
  return mask[(base + row) * words + word];
}
fn diagonal_of(base: u32, row: u32, count: u32, words: u32) -> u32 {
  if (row >= count) { return 0u; }
  return mask[(base + row) * words + row / 32u];
}`,
  body: /* wgsl */ `
  let start = u.block * ${BLOCK}u;
  let height = min(u.capacity, ${BLOCK}u);
  let words = (height + 31u) / 32u;
  let base = group.z * height;
  let word = lane % 32u;
  let first_row = lane / 32u * ${SWEEP_ROWS}u;
  if (lane == 0u) { shared_total = select(keptCounts[group.z], 0u, u.block == 0u); }
  var total = workgroupUniformLoad(&shared_total);
  if (lane < words) {
    atomicStore(&gone_words[lane], select(removed[group.z * words + lane], 0u, u.block == 0u));
    removed[group.z * words + lane] = 0u;
  }
  var count = min(max(counts[group.z], start) - start, ${BLOCK}u);
  if (total >= u.maxOutput) { count = 0u; }
  let row = 4u * lane;
  diagonals[lane] = vec4u(
    diagonal_of(base, row, count, words), diagonal_of(base, row + 1u, count, words),
    diagonal_of(base, row + 2u, count, words), diagonal_of(base, row + 3u, count, words));
  ${unroll(SWEEP_ROWS, (k) => `var next${k} = word_of(base, first_row + ${k}u, count, word, words);`)}
  workgroupBarrier();
  for (var part = 0u; part * 32u < count; part++) {
    ${unroll(SWEEP_ROWS, (k) => `let row${k} = next${k}; next${k} = word_of(base, (part + 1u) * 32u + first_row + ${k}u, count, word, words);`)}
    ${unroll(8, (k) => `let diagonal${k} = diagonals[8u * part + ${k}u];`)}
    // Bit i of gone is final once the boxes before i are decided. If it is 0, box i is kept and its own word is added.
    var gone = atomicLoad(&gone_words[part]) | ~first_bits(count - part * 32u);
    ${unroll(32, (i) => `gone |= diagonal${i >> 2}[${i & 3}] & (((gone >> ${i}u) & 1u) - 1u);`)}
    var keep = ~gone;
    while (countOneBits(keep) > u.maxOutput - total) { keep &= ~(0x80000000u >> countLeadingZeros(keep)); }
    if (lane < 32u && ((keep >> lane) & 1u) == 1u) {
      kept[group.z * u.maxOutput + total + countOneBits(keep & first_bits(lane))] = start + part * 32u + lane;
    }
    total += countOneBits(keep);
    let bits = ${Array.from({ length: SWEEP_ROWS }, (_, k) => `select(0u, row${k}, ((keep >> (first_row + ${k}u)) & 1u) == 1u)`).join(' | ')};
    if (bits != 0u) { atomicOr(&gone_words[word], bits); }
    workgroupBarrier();
  }
  if (lane == 0u) { keptCounts[group.z] = total; }`,
});

/** In place of the three kernels where nothing is to be suppressed: all boxes are kept, up to maxOutput. */
export const nmsKeepAll = kernel({
  name: 'nms_keep_all',
  buffers: { counts: 'read u32', kept: 'write u32', keptCounts: 'write u32' },
  uniforms: { slices: 'u32', maxOutput: 'u32' },
  grid: ({ slices, maxOutput }) => [ceilDiv(maxOutput, 64), 1, slices],
  body: /* wgsl */ `
  let k = group.x * 64u + lane;
  if (k < u.maxOutput) { kept[group.z * u.maxOutput + k] = k; }
  if (k == 0u) { keptCounts[group.z] = min(counts[group.z], u.maxOutput); }`,
});

/** indices [maxOutput] i32 = order[kept], -1 beyond the count. */
export const nmsOriginal = kernel({
  name: 'nms_original',
  buffers: { kept: 'read u32', keptCounts: 'read u32', order: 'read u32', indices: 'write i32' },
  uniforms: { maxOutput: 'u32' },
  each: 'maxOutput',
  lanes: 256,
  body: /* wgsl */ `
  indices[i] = -1;
  if (i < keptCounts[0]) { indices[i] = i32(order[kept[i]]); }`,
});

export interface SuppressParams {
  /** K: the number of boxes in a slice. */
  capacity: number;
  slices?: number;
  threshold: number;
  plusOne: number;
  maxOutput: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

export const suppressScratch = ({
  capacity,
  slices = 1,
  maxOutput,
}: Pick<SuppressParams, 'capacity' | 'slices' | 'maxOutput'>) => ({
  mask: slices * blockRows(capacity) * blockWords(capacity),
  removed: slices * blockWords(capacity),
  kept: slices * maxOutput,
});

/** sorted [slices,K,4], counts [slices] -> kept u32 [slices,maxOutput], keptCounts u32 [slices]. */
export function recordSuppress<H>(
  run: Run<H>,
  {
    sorted,
    counts,
    mask,
    removed,
    kept,
    keptCounts,
  }: StageBuffers<H, 'sorted' | 'counts' | 'keptCounts', typeof suppressScratch>,
  { capacity, slices = 1, threshold, plusOne, maxOutput, variant = 'narrow' }: SuppressParams,
): void {
  // No two boxes have an IoU above 1.
  if (threshold > 1) return run(nmsKeepAll, { counts, kept, keptCounts }, { slices, maxOutput });
  const sweep = variant === 'wide' ? nmsSweepWide : nmsSweep;
  for (let block = 0; block * BLOCK < capacity; block++) {
    const uniforms = { capacity, slices, maxOutput, block, threshold, plusOne };
    if (block > 0) run(nmsRemoved, { sorted, counts, kept, keptCounts, removed }, uniforms);
    run(nmsMask, { sorted, counts, keptCounts, removed, mask }, uniforms);
    run(sweep, { mask, counts, removed, kept, keptCounts }, { capacity, slices, maxOutput, block });
  }
}

export interface NmsParams {
  n: number;
  threshold: number;
  plusOne: number;
  maxOutput: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

export const nmsScratch = ({ n, maxOutput }: Pick<NmsParams, 'n' | 'maxOutput'>) => ({
  ...radixSortScratch({ n }),
  ...suppressScratch({ capacity: n, maxOutput }),
  keys: n,
  order: n,
  sorted: n * 4,
  counts: 1,
});

/**
 * Boxes in any order: boxes [n,4], scores [n] -> indices i32 [maxOutput] by descending score (equal scores by index), -1
 * beyond count u32 [1]. Boxes whose score is not finite are dropped.
 */
export function recordNms<H>(
  run: Run<H>,
  buffers: StageBuffers<H, 'boxes' | 'scores' | 'indices' | 'count', typeof nmsScratch>,
  { n, threshold, plusOne, maxOutput, variant }: NmsParams,
): void {
  const { boxes, scores, keys, order, sorted, counts, kept, count, indices } = buffers;
  run(nmsKeys, { scores, keys, order }, { n });
  recordRadixSort(run, { ...buffers, values: order }, { n, variant });
  run(gatherSorted, { keys, order, boxes, sorted, counts }, { n, capacity: n, slices: 1 });
  recordSuppress(run, { ...buffers, keptCounts: count }, { capacity: n, threshold, plusOne, maxOutput, variant });
  run(nmsOriginal, { kept, keptCounts: count, order, indices }, { maxOutput });
}

/** Whether box a, if kept, suppresses box b. */
export function suppresses(a: Box, b: Box, threshold: number, plusOne: number): boolean {
  const area = (c: Box) => (c[2] - c[0] + plusOne) * (c[3] - c[1] + plusOne);
  const w = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]) + plusOne);
  const h = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]) + plusOne);
  return w * h > threshold * (area(a) + area(b) - w * h);
}

/** Sorted boxes [count,4] of one slice and block: mask [count, ceil(capacity/32)], zero left of the diagonal. */
export function nmsMaskReference(
  sorted: Float64Array,
  capacity: number,
  threshold: number,
  plusOne: number,
): Uint32Array {
  const count = sorted.length / 4;
  const words = ceilDiv(capacity, 32);
  const mask = new Uint32Array(count * words);
  for (let i = 0; i < count; i++)
    for (let j = i + 1; j < count; j++)
      if (suppresses(boxAt(sorted, i * 4), boxAt(sorted, j * 4), threshold, plusOne))
        mask[i * words + (j >> 5)]! |= 1 << (j & 31);
  return mask;
}

/** Greedy suppression of sorted boxes [count,4]; returns indices into the sorted order. */
export function suppressReference(
  sorted: Float64Array,
  threshold: number,
  plusOne: number,
  maxOutput: number,
): number[] {
  const kept: number[] = [];
  for (let j = 0; j < sorted.length / 4 && kept.length < maxOutput; j++)
    if (!kept.some((i) => suppresses(boxAt(sorted, i * 4), boxAt(sorted, j * 4), threshold, plusOne))) kept.push(j);
  return kept;
}

/** Greedy suppression of boxes [n,4] in any order; returns indices into the input. */
export function nmsReference(
  boxes: Float64Array,
  scores: Float64Array,
  threshold: number,
  plusOne: number,
  maxOutput: number,
): number[] {
  const keys = Uint32Array.from(scores, sortKey);
  const order = [...keys.keys()].filter((i) => keys[i] !== LAST_KEY).sort((i, j) => keys[i]! - keys[j]! || i - j);
  const sorted = Float64Array.from(order.flatMap((i) => [...boxAt(boxes, i * 4)]));
  return suppressReference(sorted, threshold, plusOne, maxOutput).map((k) => order[k]!);
}
