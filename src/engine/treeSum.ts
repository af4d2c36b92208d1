/**
 * The order in which the gradients of an update's images are added.
 *
 * Float32 addition is not associative, so the order is part of the result. Here it is a binary tree over the places
 * 0 .. N - 1 of the images in their update: the node of level k at index j is the sum of places j 2^k to (j + 1) 2^k - 1,
 * the left half plus the right one; where N cuts a half off, the node is the other half alone. The tree depends on N and on
 * nothing else. A process with consecutive places can add the nodes that lie entirely within them. Adding these nodes then
 * gives the same bits as one process with all places.
 */

/** The sum of `size` places from `start` on; a whole node of the tree, so `start` is a multiple of `size`. */
export interface TreeNode<T> {
  start: number;
  size: number;
  sum: T;
}

/** Adds nodes that come in the order of their places. Of N single places at most log2(N) + 1 sums wait at a time. */
export class TreeSum<T> {
  /** Sums whose other half has not come yet. */
  readonly waiting: TreeNode<T>[] = [];
  private readonly add: (sum: T, term: T) => void;

  /** `add` adds `term` to `sum`, in place. */
  constructor(add: (sum: T, term: T) => void) {
    this.add = add;
  }

  /** Takes the next node, and adds every pair of halves that it completes. */
  push(node: TreeNode<T>): void {
    const { waiting } = this;
    waiting.push({ ...node });
    for (;;) {
      const [left, right] = waiting.slice(-2);
      if (!left || !right || left.size !== right.size || left.start % (2 * left.size) !== 0) return;
      this.join();
    }
  }

  /** The sum of everything, once the last node has come; then it is empty again. */
  finish(): T {
    if (this.waiting.length === 0) throw new Error('TreeSum: there is nothing to add');
    while (this.waiting.length > 1) this.join();
    return this.waiting.pop()!.sum;
  }

  private join(): void {
    const right = this.waiting.pop()!;
    const left = this.waiting.at(-1)!;
    this.add(left.sum, right.sum);
    left.size *= 2;
  }
}

/** The nodes that lie entirely within the places from `first` to `end`, which is one past the last: as few as possible. */
export function nodesWithin(first: number, end: number): { start: number; size: number }[] {
  const tree = new TreeSum<null>(() => {});
  for (let start = first; start < end; start++) tree.push({ start, size: 1, sum: null });
  return tree.waiting.map(({ start, size }) => ({ start, size }));
}

/** The most sums that wait at a time while the places from `first` to `end` are added, the newest included. */
export function sumsAtATime(first: number, end: number): number {
  let most = 0;
  const tree = new TreeSum<null>(() => {});
  for (let start = first; start < end; start++) {
    most = Math.max(most, tree.waiting.length + 1);
    tree.push({ start, size: 1, sum: null });
  }
  return most;
}
