/** Loads items ahead of the one that is being used: images are decoded while the device computes. */
export interface PrefetchOptions {
  /** The number of the first item that `next()` gives. */
  start: number;
  /** One past the last: nothing is loaded beyond it. */
  end: number;
  /** At most this many items are loaded or being loaded ahead of the one handed out. */
  ahead: number;
}

export class Prefetcher<T> {
  /** Milliseconds for which the calls of `next()` have waited so far: the time for which the caller was idle. */
  waitedMs = 0;
  readonly #load: (n: number) => Promise<T>;
  readonly #options: PrefetchOptions;
  readonly #pending: Promise<T>[] = [];
  #next: number;

  constructor(load: (n: number) => Promise<T>, options: PrefetchOptions) {
    this.#load = load;
    this.#options = options;
    this.#next = options.start;
  }

  /** Loads one item for each of `items`, in their order, with the next one loading ahead. */
  static inOrder<S, T>(items: readonly S[], load: (item: S) => Promise<T>): Prefetcher<T> {
    return new Prefetcher((n) => load(items[n]!), { start: 0, end: items.length, ahead: 1 });
  }

  /** The next item; rejects with the error of loading it only here, not when it was loaded. */
  async next(): Promise<T> {
    this.#fill(this.#options.ahead + 1);
    const head = this.#pending.shift();
    if (head === undefined) throw new RangeError(`no sample beyond step ${this.#options.end - 1}`);
    const start = performance.now();
    const loaded = await head;
    this.waitedMs += performance.now() - start;
    return loaded;
  }

  #fill(count: number): void {
    while (this.#pending.length < count && this.#next < this.#options.end) {
      const loading = this.#load(this.#next++);
      loading.catch(() => {}); // the `next()` that returns it reports the error; until then Node must not treat it as unhandled
      this.#pending.push(loading);
    }
  }
}
