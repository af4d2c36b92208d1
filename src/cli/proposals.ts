/** `rcnn proposals`: proposals of Selective Search, EdgeBoxes or a MultiBox network, into a CSV file. */
import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { checkImages } from '../data/images.ts';
import { openDataset, usualSplit } from '../data/registry.ts';
import { UserError } from '../engine/errors.ts';
import { proposeAll } from '../proposals/node/proposeAll.ts';
import { DEFAULT_LONGER_SIDE, DEFAULT_MOST, PROPOSAL_METHODS, type ProposalMethod } from '../proposals/propose.ts';
import { multiBoxDirectory } from '../run/config/multiBoxConfig.ts';
import { writeMultiBoxProposals } from '../run/evaluation/multiBoxProposals.ts';
import { type AdapterKind, adapterOption, positiveInteger, seed, withDataOptions, withGpu } from './common.ts';
import { withExample } from './helpText.ts';
import { onInterrupt } from './interrupt.ts';
import { assertOutputs } from './outputs.ts';
import { type ProgressBar, startProgress } from './progress.ts';
import { count } from './text.ts';

const METHODS = [...PROPOSAL_METHODS, 'multibox'] as const;

interface ProposalsCommand {
  method: ProposalMethod | 'multibox';
  model?: string;
  adapter: AdapterKind;
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
  const described = program
    .command('proposals')
    .description(
      'Compute proposals as a CSV file, for `rcnn recall --proposals-file` and `rcnn train --proposals`. After Ctrl-C or a kill, the same command continues.',
    )
    .addOption(
      new Option(
        '--method <name>',
        'selective-search and edge-boxes (on gradient edges unless --edges is given) need no training and no GPU; multibox needs --model',
      )
        .choices(METHODS)
        .makeOptionMandatory(),
    );
  const command = withDataOptions(described, {
    required: true,
    split: { text: 'the split to compute them for; default: test, or val where there is none' },
  })
    .requiredOption('--out <file>', 'the CSV file')
    .option('--model <dir>', "for multibox: a run directory of 'rcnn multibox'")
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
    .addOption(adapterOption())
    .action(run);
  withExample(
    command,
    'rcnn proposals --method selective-search --data voc:my-data --out ss.csv',
    'rcnn recall --model runs/mine --data voc:my-data --proposals-file SelectiveSearch=ss.csv',
  );
}

async function run(options: ProposalsCommand): Promise<void> {
  const { method, model, data, out, edges, most, side, seed, workers, splitSeed, allowOutside } = options;
  if ((method === 'multibox') !== (model !== undefined)) {
    throw new UserError(
      model === undefined
        ? "--model is missing: multibox needs a run directory of 'rcnn multibox'"
        : `--model: ${method} uses no network; leave it out, or choose --method multibox`,
    );
  }
  if (edges !== undefined && method !== 'edge-boxes') {
    throw new UserError(`--edges: ${method} uses no edge maps; leave it out, or choose --method edge-boxes`);
  }
  if (edges !== undefined && !(existsSync(edges) && statSync(edges).isDirectory())) {
    throw new UserError(`${edges}: is not a folder; name the one with the edge maps`);
  }
  const directory = model === undefined ? undefined : multiBoxDirectory(model);
  assertOutputs([out], { data, files: directory?.files ?? [] });
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
    const common = {
      samples,
      out,
      signal: interrupt.signal,
      onStart(done: number) {
        if (done > 0) console.log(`continuing after image ${done}`);
        progress = startProgress(samples.length, 'image', done);
      },
      onImage: (done: number) => progress?.update(done),
    };
    const result = await (method === 'multibox'
      ? withGpu(options.adapter, (gpu) => writeMultiBoxProposals({ gpu, directory: directory!, most, ...common }))
      : proposeAll({ settings: { method, longerSide: side, most, seed }, edges, workers, ...common }));
    progress?.stop();
    if (!result.finished) {
      console.log(`stopped after ${result.done} of ${samples.length} images; the same command continues`);
      process.exitCode = 130;
      return;
    }
    const { images, boxes, seconds } = result;
    const each =
      images > 0
        ? `: ${(boxes / images).toFixed(1)} boxes each, ${(seconds / images).toFixed(2)} s an image${method === 'multibox' ? '' : ' in one thread'}`
        : '';
    console.log(
      `${method} on split ${split} of ${dataset.name}, ${count(samples.length)} images${each}; saved in ${out}`,
    );
  } finally {
    progress?.stop();
    interrupt.dispose();
  }
}
