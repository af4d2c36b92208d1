/** Computes the proposals of a list of images into a file. */
import { Prefetcher } from '../../data/prefetcher.ts';
import { proposalLines } from '../../data/proposalFiles.ts';
import { ProposalWriter } from '../../data/proposalWriter.ts';
import type { Sample } from '../../data/types.ts';
import type { ProposalSettings } from '../propose.ts';
import { assertEdgeMaps, readEdgeMap } from './edgeMapFiles.ts';
import { ProposalWorkers } from './workers.ts';

export interface ProposeAllOptions {
  samples: readonly Sample[];
  settings: ProposalSettings;
  /** A folder of edge maps for EdgeBoxes (edgeMapFiles.ts). */
  edges?: string | undefined;
  /** The file to write. */
  out: string;
  /** Threads. */
  workers: number;
  /** Aborted: what is whole is kept, and the next call with the same options continues. */
  signal?: AbortSignal;
  onStart?(done: number): void;
  onImage?(done: number): void;
}

export interface ProposeAllResult {
  /** Images in the file, or in the part that a later call continues. */
  done: number;
  finished: boolean;
  /** Of this call: images, boxes, and seconds that images took in their threads. */
  images: number;
  boxes: number;
  seconds: number;
}

/** Changes whenever other boxes come out for the same settings, so that no file mixes the two. */
const VERSION = 1;

/** Images load and wait in this number for each thread. */
const AHEAD = 2;

export async function proposeAll(options: ProposeAllOptions): Promise<ProposeAllResult> {
  const { samples, settings, edges, out, signal, onStart, onImage } = options;
  if (edges !== undefined) assertEdgeMaps(edges, samples);
  const writer = await ProposalWriter.open(out, { VERSION, ...settings, edges }, samples);
  const result = { images: 0, boxes: 0, seconds: 0 };
  try {
    onStart?.(writer.done);
    const workers = new ProposalWorkers(Math.min(options.workers, Math.max(1, samples.length - writer.done)));
    try {
      const answers = new Prefetcher(
        async (n) => {
          const sample = samples[n]!;
          const [image, map] = await Promise.all([
            sample.load(),
            edges === undefined ? undefined : readEdgeMap(edges, sample),
          ]);
          return workers.run({ image, id: sample.id, settings, edges: map });
        },
        { start: writer.done, end: samples.length, ahead: AHEAD * options.workers },
      );
      while (writer.done < samples.length && !signal?.aborted) {
        const { id } = samples[writer.done]!;
        const { found, seconds } = await answers.next();
        writer.append(proposalLines(id, found));
        result.images++;
        result.boxes += found.scores.length;
        result.seconds += seconds;
        onImage?.(writer.done);
      }
    } finally {
      await workers.close();
    }
    const finished = writer.done === samples.length;
    if (finished) writer.finish();
    return { done: writer.done, finished, ...result };
  } finally {
    writer.close();
  }
}
