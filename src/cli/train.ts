/** `rcnn train`: trains a detector and keeps it in a run directory. */
import type { Command } from 'commander';
import { join } from 'node:path';
import type { Sample } from '../data/types.ts';
import { UserError } from '../engine/errors.ts';
import { checkPictures } from '../data/pictures.ts';
import { DATA_USAGE } from '../data/registry.ts';
import { type Preset, PRESETS } from '../run/config/presets.ts';
import {
  assertSameRun,
  configureRun,
  findPreset,
  openRunData,
  openValidation,
  type RunChoices,
} from '../run/config/runConfig.ts';
import { withPlannedKernels } from '../run/config/plannedFor.ts';
import { SCHEDULES, stagesOf, stageTraining } from '../run/config/stages.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { asOnlyWriter } from '../run/storage/runLock.ts';
import {
  type AdapterKind,
  adapterOption,
  backboneOption,
  backbonesHelp,
  positiveInteger,
  positiveNumber,
  seed,
  setOption,
  withDataOptions,
  withExample,
  withGpu,
} from './common.ts';
import { type Progress, startProgress } from './progress.ts';
import { trainOnTerminal } from './training.ts';

interface TrainCommand extends RunChoices {
  out?: string;
  resume?: boolean;
  tune?: boolean;
  adapter: AdapterKind;
}

export function addTrain(program: Command): void {
  const command = withDataOptions(program.command('train'))
    .description('Train a detector. The run directory keeps its configuration, losses and checkpoint.')
    .option('--data <spec>', `${DATA_USAGE}; several paths, 'voc:PATH,PATH', are taken as one; default: digits`)
    .option('--split <name>', 'the part to train on; default: train, or the preset’s own, and of coco: all')
    .option('--out <dir>', 'the run directory; default: runs/PRESET')
    .option('--preset <name>', 'a named configuration, see below; default: digits, or photos for any other data')
    .addOption(backboneOption("instead of the preset's"))
    .option('--schedule <name>', `how RPN and detector share features: ${SCHEDULES.join(', ')}; default: joint`)
    .option('--init <file>', 'initial weights, safetensors: ours, torchvision’s or Caffe’s; what fits is taken')
    .option(
      '--input <form>',
      'how they take a picture: bgr (as Caffe) or rgb (as torchvision); default: told by --init',
    )
    .option(
      '--steps <n>',
      "steps of joint training; the preset's milestones, and the steps of stages, move in proportion",
      positiveInteger,
    )
    .option('--learning-rate <x>', 'at the start, after the warm-up', positiveNumber)
    .option('--seed <n>', 'of the weights, the order of images and the sampling', seed)
    .addOption(setOption('the preset, e.g. detector.rpn.lambda=10'))
    .option('--skip-bad-boxes', 'leave out boxes outside their image or without area, instead of stopping')
    .option('--checkpoint-every <n>', 'steps between two checkpoints; default: 200', positiveInteger)
    .option('--validate <split>', 'also evaluate the weights on this part of the data now and then; the best are kept')
    .option(
      '--validate-data <spec>',
      "validate on other data than --data's; the part is --validate, default: val, and of coco: all",
    )
    .option('--validate-every <n>', 'steps between two evaluations; default: a tenth of the run', positiveInteger)
    .option('--validate-images <n>', 'images of an evaluation at most, evenly spaced; default: 100', positiveInteger)
    .option('--tune', 'time the kernels on this device before training; the default on a GPU')
    .option('--no-tune', "take the planner's kernels as they are; the default on a software adapter")
    .option(
      '--deterministic',
      'plan the kernels for recorded limits that every WebGPU device has; the default on a software adapter without --tune',
    )
    .option('--no-deterministic', 'plan them for what this device allows')
    .option('--resume', 'go on with the run in --out, from its checkpoint and with its configuration')
    .addOption(adapterOption())
    .addHelpText(
      'after',
      `\nPresets:\n${Object.entries(PRESETS)
        .map(([name, preset]) => `  ${name.padEnd(20)} ${preset.summary}; ${stepsOf(preset)}`)
        .join('\n')}

${backbonesHelp()}

With --schedule alternating or unshared the RPN and the detector are trained in stages, with the steps, milestones and
imagesPerStep in training.stages.rpn and training.stages.detector; what is not set there follows from joint training.
--validate evaluates in the last stage of alternating, at the end of unshared: no other has a whole detector.`,
    )
    .action(train);
  withExample(
    command,
    'rcnn train --data digits --preset digits --out runs/digits',
    'rcnn train --data voc:my-data --init squeezenet1_1.safetensors --input rgb --out runs/mine',
    'rcnn train --data voc:my-data --init squeezenet1_1.safetensors --input rgb --validate val',
    'rcnn train --schedule alternating --set training.stages.rpn.steps=2000 --out runs/alternating',
    'rcnn train --resume --out runs/mine',
  );
}

/** The steps of joint training, and of a stage of the RPN and one of the detector. */
function stepsOf({ training, staged }: Preset): string {
  const [rpn, detector] = stagesOf('unshared').map(
    (stage) => stageTraining(stage, { ...training, ...staged?.training }).steps,
  );
  return `${training.steps} steps, in stages ${rpn === detector ? rpn : `${rpn} and ${detector}`}`;
}

async function train({ adapter, out, resume = false, tune, ...choices }: TrainCommand): Promise<void> {
  const preset = findPreset(choices.preset, choices.data ?? 'digits').name;
  const directory = new RunDirectory(out ?? join('runs', preset));
  if (tune && choices.deterministic)
    throw new UserError(
      '--tune: clocks would choose the kernels, which --deterministic rules out; leave one of the two out',
    );
  const resumeCommand = `rcnn train --resume --out ${directory.path}`;
  await asOnlyWriter(directory.path, async () => {
    const run = resume ? await reopen(choices, directory) : await open(choices, directory);
    if (tune && run.config.plannedFor) {
      throw new UserError(`--tune: the run to resume is deterministic (${directory.configPath}); leave the option out`);
    }
    await withGpu(adapter, (gpu) => {
      const deterministic = choices.deterministic ?? (gpu.adapter.software && !tune);
      const config = resume || !deterministic ? run.config : withPlannedKernels(run.config, gpu);
      return trainOnTerminal({
        ...run,
        config,
        gpu,
        directory,
        resume,
        resumeCommand,
        tune: tune ?? !gpu.adapter.software,
      });
    });
  });
}

async function open(choices: RunChoices, directory: RunDirectory) {
  directory.assertFree();
  const run = await configureRun(choices);
  await lookAtPictures([...run.dataset.samples, ...(run.validation?.samples ?? [])]);
  return run;
}

/** After this time the progress of the check is shown. */
const LONG_MS = 2000;

/** Checks that each file is a picture of the size that its boxes are for. A resumed run was checked when it began. */
async function lookAtPictures(samples: readonly Sample[]): Promise<void> {
  const started = performance.now();
  let progress: Progress | undefined;
  let done = 0;
  try {
    const notes = await checkPictures(samples, () => {
      done++;
      if (performance.now() - started < LONG_MS) return;
      if (!progress) console.log('checking the size of every image');
      progress ??= startProgress(samples.length, 'image', done);
      progress.update(done);
    });
    progress?.stop();
    for (const note of notes) console.log(`note: ${note}`);
  } finally {
    progress?.stop();
  }
}

async function reopen(choices: RunChoices, directory: RunDirectory) {
  const config = directory.readConfig();
  assertSameRun(choices, config, directory.configPath);
  return { config, dataset: await openRunData(config), validation: await openValidation(config) };
}
