/** Hierarchical grouping (Uijlings et al. 2013, algorithm 1): the most similar neighbours merge until one region is left. */
import type { Regions } from './regionFeatures.ts';
import type { Similarity } from './similarities.ts';

/**
 * Merges all regions into one, adding each merger to `regions`. The similarity of a pair is the sum of `similarities`; of equally
 * similar pairs the one that was found first merges first.
 *
 * @param touchingAtFirst for each region those that it touches
 * @param pixels of the image
 */
export function mergeAll(
  regions: Regions,
  touchingAtFirst: readonly (readonly number[])[],
  similarities: readonly Similarity[],
  pixels: number,
): void {
  const similarity = (a: number, b: number): number => {
    let sum = 0;
    for (const measure of similarities) sum += measure(regions, a, b, pixels);
    return sum;
  };
  const neighbours = touchingAtFirst.map((touching) => [...touching]);
  const pairs = new PairQueue();
  neighbours.forEach((touching, a) => {
    for (const b of touching) if (a < b) pairs.push(similarity(a, b), a, b);
  });
  const merged = new Uint8Array(regions.sizes.length);
  /** The last merger that took a region for its neighbour. */
  const seenBy = new Int32Array(regions.sizes.length);
  for (let pair = pairs.pop(); pair; pair = pairs.pop()) {
    const { a, b } = pair;
    if (merged[a] || merged[b]) continue;
    merged[a] = merged[b] = 1;
    const union = regions.merge(a, b);
    const touching: number[] = [];
    for (const neighbour of [...neighbours[a]!, ...neighbours[b]!]) {
      if (merged[neighbour] || seenBy[neighbour] === union) continue;
      seenBy[neighbour] = union;
      touching.push(neighbour);
      neighbours[neighbour]!.push(union);
      pairs.push(similarity(neighbour, union), neighbour, union);
    }
    neighbours[union] = touching;
    neighbours[a] = neighbours[b] = [];
  }
}

interface Pair {
  similarity: number;
  a: number;
  b: number;
  /** Counts the pairs. */
  number: number;
}

/** A binary heap: the most similar pair first. */
class PairQueue {
  readonly #heap: Pair[] = [];
  #pushed = 0;

  push(similarity: number, a: number, b: number): void {
    const heap = this.#heap;
    const pair = { similarity, a, b, number: this.#pushed++ };
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(pair, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = pair;
  }

  pop(): Pair | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const isBefore = (a: Pair, b: Pair): boolean =>
  a.similarity > b.similarity || (a.similarity === b.similarity && a.number < b.number);
