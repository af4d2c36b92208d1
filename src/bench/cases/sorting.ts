/** What Faster R-CNN sorts and selects, for the anchors of VGG-16 (17100 on 600x800) and of a larger map. */
import type { Gpu } from '../../engine/gpu.ts';
import type { Bindable } from '../../engine/memory.ts';
import { scratch } from '../../engine/scratch.ts';
import { stageVariant } from '../../kernels/planner.ts';
import { radixSortScratch, recordRadixSort, sortKey, sortReference } from '../../kernels/radixSort.ts';
import { recordSelectRandom, selectRandomReference, selectRandomScratch } from '../../kernels/selectRandom.ts';
import { recordTopK, topKReference, topKScratch } from '../../kernels/topK.ts';
import type { BenchCase, PreparedCase } from '../case.ts';
import { compareExactly, merge } from '../compare.ts';
import { uniform } from '../inputs.ts';

const ANCHORS = 17100;
const MANY_ANCHORS = 60000;
/** Anchors of a mini-batch (paper, section 3.1.3). */
const BATCH = 256;

export const sortingCases: readonly BenchCase[] = [
  row('top k', `${ANCHORS}->6000 scores`, 4 * (ANCHORS + 2 * 6000), (gpu) => topK(gpu, ANCHORS, 6000)),
  row('top k', `${MANY_ANCHORS}->12000 scores`, 4 * (MANY_ANCHORS + 2 * 12000), (gpu) =>
    topK(gpu, MANY_ANCHORS, 12000),
  ),
  ...[6000, MANY_ANCHORS].map((n) => row('radix sort', `${n} scores`, 4 * 4 * n, (gpu) => sort(gpu, n))),
  ...[ANCHORS, MANY_ANCHORS].map((n) =>
    row('random selection', `${n}->${BATCH} anchors`, 4 * 2 * n, (gpu) => selection(gpu, n)),
  ),
];

function row(op: string, shape: string, bytes: number, prepare: (gpu: Gpu) => PreparedCase): BenchCase {
  return { group: 'Sorting and selection', op, shape, quick: true, bytes, clock: 'device', prepare };
}

const keysOf = (n: number): Uint32Array => Uint32Array.from(uniform(n, 1), sortKey);
/** 32-bit integers in the form in which tensors hold and return them. */
const signed = (values: Uint32Array): Int32Array => new Int32Array(values.buffer);

function topK(gpu: Gpu, n: number, k: number): PreparedCase {
  const values = keysOf(n);
  const keys = gpu.tensor(signed(values), [n], 'keys');
  const params = { n, k, variant: stageVariant(gpu.plans.device) };
  return {
    compute() {
      const [keysOut, indicesOut] = [gpu.empty([k], 'i32', 'keys'), gpu.empty([k], 'i32', 'indices')];
      const working = scratch(gpu, topKScratch(params));
      recordTopK<Bindable>(gpu.run.bind(gpu), { ...working.tensors, keys, keysOut, indicesOut }, params);
      working.dispose();
      return [keysOut, indicesOut];
    },
    check([keysOut, indicesOut]) {
      const expected = topKReference(values, k);
      return merge([
        compareExactly(keysOut!, signed(expected.map((i) => values[i]!))),
        compareExactly(indicesOut!, expected),
      ]);
    },
  };
}

function sort(gpu: Gpu, n: number): PreparedCase {
  const given = keysOf(n);
  const unsorted = gpu.tensor(signed(given), [n], 'keys');
  const places = gpu.tensor(Int32Array.from(given.keys()), [n], 'values');
  const params = { n, variant: stageVariant(gpu.plans.device) };
  return {
    compute() {
      const [keys, values] = [unsorted.copy(), places.copy()]; // sorted in place
      const working = scratch(gpu, radixSortScratch(params));
      recordRadixSort<Bindable>(gpu.run.bind(gpu), { ...working.tensors, keys, values }, params);
      working.dispose();
      return [keys, values];
    },
    check([keys, values]) {
      const expected = sortReference(given);
      return merge([
        compareExactly(keys!, signed(Uint32Array.from(expected, (i) => given[i]!))),
        compareExactly(values!, expected),
      ]);
    },
  };
}

/** The negatives of a mini-batch: nine in ten anchors are negative, the others are ignored. */
function selection(gpu: Gpu, n: number): PreparedCase {
  const labels = Int32Array.from(uniform(n, 2), (value) => (value < 0.8 ? 0 : -1));
  const given = gpu.tensor(labels, [n], 'labels');
  const choice = { value: 0, otherwise: -1, limit: BATCH, random: 1, seed: 1, stream: 1 };
  const params = { ...choice, n, subtract: -1, slot: 0 };
  const variant = stageVariant(gpu.plans.device);
  return {
    compute() {
      const [flags, counts] = [given.copy(), gpu.empty([1], 'i32', 'count')]; // selected in place
      const working = scratch(gpu, selectRandomScratch(n, variant));
      recordSelectRandom<Bindable>(gpu.run.bind(gpu), { ...working.tensors, flags, counts }, params, variant);
      working.dispose();
      return [flags, counts];
    },
    check([flags, counts]) {
      const expected = selectRandomReference(labels, choice);
      return merge([compareExactly(flags!, expected.flags), compareExactly(counts!, [expected.count])]);
    },
  };
}
