/** The proposals of other methods that some networks of the plan are trained and tested on: a file for each method and split. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openDataset } from '../src/data/registry.ts';
import { makeFolder, replaceFile } from '../src/engine/node/writeFile.ts';
import { proposeAll } from '../src/proposals/node/proposeAll.ts';
import type { ProposalMethod } from '../src/proposals/propose.ts';
import { startProgress } from '../src/cli/progress.ts';
import { firstScenes } from './firstScenes.ts';

/** As many as the demo preset trains on. */
const MOST = 300;
/** Scenes are enlarged twice: the settings of both methods are made for larger images. */
const LONGER_SIDE = 320;

type Split = 'train' | 'test';

/** `scenes`: the number of the split's first scenes. */
export const proposalsPath = (out: string, method: ProposalMethod, split: Split, scenes: number): string =>
  join(out, 'proposals', `${method}-${split}-${scenes}.csv`);

const timePath = (out: string, method: ProposalMethod): string => join(out, 'proposals', `${method}.json`);

/** Milliseconds of a test image in one thread, as measured when its proposals were computed. */
export function proposalTime(out: string, method: ProposalMethod): number | undefined {
  const path = timePath(out, method);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { ms: number }).ms : undefined;
}

/** Computes what is not there yet for the first scenes of each split; a later call continues after an abort. */
export async function makeProposals(
  out: string,
  method: ProposalMethod,
  scenes: Readonly<Record<Split, number>>,
  signal: AbortSignal,
): Promise<void> {
  makeFolder(join(out, 'proposals'));
  for (const split of ['test', 'train'] as const) {
    const path = proposalsPath(out, method, split, scenes[split]);
    if (existsSync(path) || signal.aborted) continue;
    const { samples } = await openDataset(firstScenes(scenes[split]), { split });
    console.log(`${method} on the ${samples.length} ${split} scenes`);
    const progress = startProgress(samples.length, 'image');
    try {
      const { images, seconds } = await proposeAll({
        samples,
        settings: { method, longerSide: LONGER_SIDE, most: MOST, seed: 0 },
        out: path,
        workers: availableParallelism(),
        signal,
        onImage: (done) => progress.update(done),
      });
      if (split === 'test' && images > 0)
        replaceFile(timePath(out, method), JSON.stringify({ ms: (1000 * seconds) / images }) + '\n');
    } finally {
      progress.stop();
    }
  }
}
