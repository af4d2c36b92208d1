/** `rcnn proposals`: proposals without learning, by Selective Search or EdgeBoxes, into a CSV file. */
import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { checkImages } from '../data/images.ts';
import { dataUsage, openDataset, usualSplit } from '../data/registry.ts';
import { UserError } from '../engine/errors.ts';
import { proposeAll } from '../proposals/node/proposeAll.ts';
import { DEFAULT_LONGER_SIDE, DEFAULT_MOST, PROPOSAL_METHODS, type ProposalMethod } from '../proposals/propose.ts';
import { positiveInteger, seed, withDataOptions, withExample } from './common.ts';
import { onInterrupt } from './interrupt.ts';
import { assertOutputs } from './outputs.ts';
import { type ProgressBar, startProgress } from './progress.ts';
import { count } from './text.ts';

interface ProposalsCommand {
  method: ProposalMethod;
  data: string;
  split?: string;
  out: string;
  edges?: string;
  most: number;
  side: number;
  seed: number;
  workers: number;
  splitSeed?: number;
  allowOutside?: boolean;
}

export function addProposals(program: Command): void {
  const command = withDataOptions(program.command('proposals'))
    .description(
      'Compute proposals without learning, as a CSV file that `rcnn recall --proposals-file` reads. Needs no GPU. After Ctrl-C or a kill, the same command continues.',
    )
    .addOption(
      new Option('--method <name>', 'how to find them; edge-boxes works on gradient edges unless --edges is given')
        .choices(PROPOSAL_METHODS)
        .makeOptionMandatory(),
    )
    .requiredOption('--data <spec>', dataUsage())
    .option('--split <name>', 'the split to compute them for; default: test, or val where there is none')
    .requiredOption('--out <file>', 'the CSV file')
    .option('--edges <dir>', 'edge maps for edge-boxes: NAME.png, and NAME.orientation.png if you have it')
    .option('--most <n>', 'keep at most so many boxes of an image, the best', positiveInteger, DEFAULT_MOST)
    .option(
      '--side <n>',
      "resize images to so many pixels on their longer side first; both methods' settings are made for about 500",
      positiveInteger,
      DEFAULT_LONGER_SIDE,
    )
    .option('--seed <n>', 'seed of the order of selective-search', seed, 0)
    .option('--workers <n>', 'threads; they change no box', positiveInteger, availableParallelism())
    .action(run);
  withExample(
    command,
    'rcnn proposals --method selective-search --data voc:my-data --out ss.csv',
    'rcnn recall --model runs/mine --data voc:my-data --proposals-file SelectiveSearch=ss.csv',
  );
}

async function run(options: ProposalsCommand): Promise<void> {
  const { method, data, out, edges, most, side, seed, workers, splitSeed, allowOutside } = options;
  if (edges !== undefined && method !== 'edge-boxes') {
    throw new UserError(`--edges: ${method} uses no edge maps; leave it out, or choose --method edge-boxes`);
  }
  if (edges !== undefined && !(existsSync(edges) && statSync(edges).isDirectory())) {
    throw new UserError(`${edges}: is not a folder; name the one with the edge maps`);
  }
  assertOutputs([out], { data });
  const split = options.split ?? usualSplit(data, 'test');
  // Boxes do not matter here, so unusable ones need not stop the command.
  const dataset = await openDataset(data, { split, onBadBox: 'skip', splitSeed, allowOutside });
  for (const note of dataset.notes) console.log(`note: ${note}`);
  const { samples } = dataset;
  await checkImages(samples);
  let progress: ProgressBar | undefined;
  const interrupt = onInterrupt(() => {
    progress?.stop();
    console.log('stopping after this image; press Ctrl-C again to quit at once');
  });
  try {
    const result = await proposeAll({
      samples,
      settings: { method, longerSide: side, most, seed },
      edges,
      out,
      workers,
      signal: interrupt.signal,
      onStart(done) {
        if (done > 0) console.log(`continuing after image ${done}`);
        progress = startProgress(samples.length, 'image', done);
      },
      onImage: (done) => progress?.update(done),
    });
    progress?.stop();
    if (!result.finished) {
      console.log(`stopped after ${result.done} of ${samples.length} images; the same command continues`);
      process.exitCode = 130;
      return;
    }
    const { images, boxes, seconds } = result;
    const each =
      images > 0
        ? `: ${(boxes / images).toFixed(1)} boxes each, ${(seconds / images).toFixed(2)} s an image in one thread`
        : '';
    console.log(
      `${method} on split ${split} of ${dataset.name}, ${count(samples.length)} images${each}; saved in ${out}`,
    );
  } finally {
    progress?.stop();
    interrupt.dispose();
  }
}
