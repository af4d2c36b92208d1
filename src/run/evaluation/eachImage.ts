/** Work on every image of a data set, one after the other, divided between the processes that there are. */
import { Prefetcher } from '../../data/prefetcher.ts';
import { ALONE, type Processes } from '../../distributed/processes.ts';

export interface EachImageOptions {
  processes?: Processes | undefined;
  /** Once aborted, in any process, the work ends before its next image. */
  signal?: AbortSignal | undefined;
  /** Images done by all processes. */
  onImage?(done: number, total: number): void;
}

/** Images of each process after which the results go to all. */
const TOGETHER = 16;

/**
 * What `work` gives for each sample, in their order and in every process, though only one has computed it: JSON values where
 * there are several. Null after an abort. `work` gets the sample, what it loads and its index.
 */
export async function eachImage<Loaded, S extends { load(): Promise<Loaded> }, T>(
  samples: readonly (S & { load(): Promise<Loaded> })[],
  work: (sample: S, loaded: Loaded, index: number) => Promise<T>,
  { processes = ALONE, signal, onImage }: EachImageOptions = {},
): Promise<T[] | null> {
  const own = samples.filter((_, index) => processes.takes(index));
  const loading = Prefetcher.inOrder(own, (sample) => sample.load());
  const results: T[] = [];
  const { rank, size } = processes;
  let waiting: T[] = [];
  for (let first = 0; first < samples.length; first += size) {
    const index = first + rank;
    const loaded = index < samples.length ? { image: await loading.next() } : null;
    if (await processes.any(signal?.aborted === true)) return null;
    if (loaded) waiting.push(await work(samples[index]!, loaded.image, index));
    const done = Math.min(first + size, samples.length);
    if ((first / size) % TOGETHER === TOGETHER - 1 || done === samples.length) {
      const parts = await processes.values(waiting);
      waiting = [];
      for (let round = 0; round < parts[0]!.length; round++) {
        for (const part of parts) if (round < part.length) results.push(part[round]!);
      }
    }
    onImage?.(done, samples.length);
  }
  return results;
}
