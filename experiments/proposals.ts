/** The proposals of other methods that some networks of the plan are trained and tested on: a file for each method and split. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openDataset } from '../src/data/registry.ts';
import { makeFolder, replaceFile } from '../src/engine/node/writeFile.ts';
import { proposeAll } from '../src/proposals/node/proposeAll.ts';
import type { ProposalMethod } from '../src/proposals/propose.ts';
import type { Gpu } from '../src/engine/gpu.ts';
import type { Sample } from '../src/data/types.ts';
import { writeMultiBoxProposals } from '../src/run/evaluation/multiBoxProposals.ts';
import { startProgress } from '../src/cli/progress.ts';
import { firstScenes } from './firstScenes.ts';
import { trainedMultiBox } from './multiBox.ts';

export type ProposalSource = ProposalMethod | 'multibox';

/** As many as the demo preset trains on. */
const MOST = 300;
/** Scenes are enlarged twice: the settings of both methods are made for larger images. */
const LONGER_SIDE = 320;

type Split = 'train' | 'test';

/** `scenes`: the number of the split's first scenes. */
export const proposalsPath = (out: string, method: ProposalSource, split: Split, scenes: number): string =>
  join(out, 'proposals', `${method}-${split}-${scenes}.csv`);

const timePath = (out: string, method: ProposalSource): string => join(out, 'proposals', `${method}.json`);

/** Milliseconds of a test image, in one thread where the method needs no device, as measured when its proposals were computed. */
export function proposalTime(out: string, method: ProposalSource): number | undefined {
  const path = timePath(out, method);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { ms: number }).ms : undefined;
}

/** Computes what is not there yet for the first scenes of each split; a later call continues after an abort. */
export async function makeProposals(
  gpu: Gpu,
  out: string,
  method: ProposalSource,
  scenes: Readonly<Record<Split, number>>,
  signal: AbortSignal,
): Promise<void> {
  makeFolder(join(out, 'proposals'));
  for (const split of ['test', 'train'] as const) {
    const path = proposalsPath(out, method, split, scenes[split]);
    if (existsSync(path) || signal.aborted) continue;
    const { samples } = await openDataset(firstScenes(scenes[split]), { split });
    const propose = await proposer(gpu, out, method, signal);
    if (signal.aborted) return;
    console.log(`${method} on the ${samples.length} ${split} scenes`);
    const progress = startProgress(samples.length, 'image');
    try {
      const { images, seconds } = await propose({
        samples,
        out: path,
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

interface Proposing {
  samples: readonly Sample[];
  out: string;
  signal: AbortSignal;
  onImage(done: number): void;
}

/** Writes the boxes of a source for some images; of these, their number and the seconds of all. */
async function proposer(
  gpu: Gpu,
  out: string,
  method: ProposalSource,
  signal: AbortSignal,
): Promise<(work: Proposing) => Promise<{ images: number; seconds: number }>> {
  if (method !== 'multibox') {
    const settings = { method, longerSide: LONGER_SIDE, most: MOST, seed: 0 };
    return (work) => proposeAll({ ...work, settings, workers: availableParallelism() });
  }
  const directory = await trainedMultiBox(gpu, out, signal);
  return (work) => writeMultiBoxProposals({ ...work, gpu, directory, most: MOST });
}
