/** `rcnn multibox`: trains a MultiBox network, whose boxes `rcnn proposals --method multibox` writes. */
import type { Command } from 'commander';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import {
  MULTIBOX_BACKBONE,
  MULTIBOX_DEFAULTS,
  configureMultiBox,
  type MultiBoxChoices,
  multiBoxDirectory,
  type MultiBoxDirectory,
  reopenMultiBox,
} from '../run/config/multiBoxConfig.ts';
import { asOnlyWriter } from '../run/storage/runLock.ts';
import { shellCommand } from '../run/storage/shellCommand.ts';
import { trainMultiBox } from '../run/training/trainMultiBox.ts';
import {
  type AdapterKind,
  positiveInteger,
  positiveNumber,
  seed,
  withBackbones,
  withDataOptions,
  withGpu,
  withSessionOptions,
} from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { columns } from './progress.ts';
import { count } from './text.ts';
import { countParameters, describeInit, withTrainingDisplay } from './trainingDisplay.ts';

interface MultiBoxCommand extends MultiBoxChoices {
  out: string;
  resume?: boolean;
  adapter: AdapterKind;
}

export function addMultiBox(program: Command): void {
  const { priors, alpha, batch, steps } = MULTIBOX_DEFAULTS;
  const begun = program
    .command('multibox')
    .description(
      "Train a MultiBox network: proposals from one look at the whole image. 'rcnn proposals --method multibox' writes its boxes.",
    );
  const described = withDataOptions(begun, { data: 'trains on its training split' }).option(
    '--skip-bad-boxes',
    'leave out boxes outside their image or without area, instead of stopping',
  );
  withBackbones(described, MULTIBOX_BACKBONE)
    .option('--out <dir>', 'the run directory', join('runs', 'multibox'))
    .option('--priors <n>', `boxes that the network moves and scores, by k-means; default: ${priors}`, positiveInteger)
    .option(
      '--size <n>',
      "side of the network's input in pixels; default: twice that of rcnn pretrain",
      positiveInteger,
    )
    .option('--alpha <x>', `weight of the locations in the loss; default: ${alpha}`, positiveNumber)
    .option('--steps <n>', `training steps; default: ${steps}`, positiveInteger)
    .option('--batch <n>', `images per step; default: ${batch}`, positiveInteger)
    .option('--learning-rate <x>', 'learning rate after the warm-up', positiveNumber)
    .option('--seed <n>', 'seed of the priors, the weights and the order of the images', seed);
  const command = withSessionOptions(described).action(run);
  withExample(
    command,
    'rcnn multibox --data voc:my-data --out runs/multibox',
    'rcnn proposals --method multibox --model runs/multibox --data voc:my-data --out mb.csv',
  );
}

async function run({ out, ...command }: MultiBoxCommand): Promise<void> {
  const directory = multiBoxDirectory(out);
  await asOnlyWriter(directory.path, () => trainIn(directory, command));
}

async function trainIn(
  directory: MultiBoxDirectory,
  { adapter, resume = false, ...choices }: Omit<MultiBoxCommand, 'out'>,
): Promise<void> {
  if (!resume) {
    assertOutputs(directory.files, { files: [choices.init], data: choices.data });
    directory.assertFree();
  }
  const { config, dataset } = await (resume
    ? reopenMultiBox(choices, directory)
    : configureMultiBox(withData(choices)));
  for (const note of dataset.notes) console.log(`note: ${note}`);
  await withGpu(adapter, async (gpu) => {
    const resumeCommand = shellCommand('rcnn', 'multibox', '--resume', '--out', directory.path);
    const { multiBox, training } = config;
    const { finished } = await withTrainingDisplay({ path: directory.path, resumeCommand }, (display) =>
      trainMultiBox({
        gpu,
        dataset,
        directory,
        config,
        resume,
        signal: display.signal,
        onInit: (report) => console.log(describeInit(config.init!, multiBox.input, report)),
        onCompiled: display.compiled,
        onCheckpoint: display.saved,
        onStart({ step }, model) {
          console.log(
            [
              `data      ${config.data}, split ${config.split}: ${count(dataset.samples.length)} images`,
              `network   ${multiBox.backbone}, ${count(countParameters(model))} parameters, input ${multiBox.input.size}x${multiBox.input.size}, ${count(multiBox.priors.length / 4)} priors`,
              `training  ${count(training.steps)} steps of ${training.imagesPerStep} images, learning rate ${training.learningRate}, seed ${training.seed}`,
              `run       ${directory.path}`,
            ].join('\n'),
          );
          display.start(step, training);
        },
        onMetrics: ({ location, confidence }) => {
          const digits = columns() < 90 ? 2 : 3;
          display.losses = `loss ${location.toFixed(digits)} + ${confidence.toFixed(digits)}`;
        },
        onStep: (step) => display.update(step, display.losses),
      }),
    );
    if (finished) {
      console.log(
        `write its proposals with: ${shellCommand('rcnn', 'proposals', '--method', 'multibox', '--model', directory.path)} --data ... --out FILE.csv`,
      );
    }
  });
}

function withData(choices: MultiBoxChoices): MultiBoxChoices & { data: string } {
  const { data } = choices;
  if (data === undefined) throw new UserError('--data is missing: name the images to train on, or pass --resume');
  return { ...choices, data };
}
