/** `rcnn train`: trains a detector and saves it in a run directory. */
import type { Command } from 'commander';
import { join } from 'node:path';
import type { Sample } from '../data/types.ts';
import type { Processes } from '../distributed/processes.ts';
import { UserError } from '../engine/errors.ts';
import { checkImages } from '../data/images.ts';
import { type Preset, PRESETS } from '../run/config/presets.ts';
import { configureRun, type ConfiguredRun, findPreset, reopenRun, type RunChoices } from '../run/config/runConfig.ts';
import { assertSameRun } from '../run/config/sameRun.ts';
import { withPlannedKernels } from '../run/config/plannedFor.ts';
import { SCHEDULES, stagesOf, stageTraining } from '../run/config/stages.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { shellCommand } from '../run/storage/shellCommand.ts';
import {
  type AdapterKind,
  adapterOption,
  INIT_TEXT,
  positiveInteger,
  positiveNumber,
  precisionOption,
  seed,
  setOption,
  withBackbones,
  withDataOptions,
} from './common.ts';
import {
  assertSameData,
  type DistributedOptions,
  rowsOf,
  together,
  withDistributedOptions,
  withLock,
} from './distributed.ts';
import { withSharedGpu } from './distributedDevices.ts';
import { withExample, withList, withParagraph } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { type ProgressBar, startProgress } from './progress.ts';
import { count } from './text.ts';
import { trainOnTerminal } from './training.ts';

interface TrainCommand extends RunChoices, DistributedOptions {
  out?: string;
  resume?: boolean;
  tune?: boolean;
  tensorboard?: boolean;
  adapter: AdapterKind;
}

const SCHEDULE_TEXTS = [
  'With --schedule alternating or unshared, the RPN and the detector are trained in stages. training.stages.rpn and training.stages.detector set their steps, milestones and imagesPerStep; values left out follow from joint training. --validate evaluates in the last stage of alternating, and at the end of unshared and of a run with SVMs: there is no whole detector before.',
  "--schedule fast-rcnn trains a Fast R-CNN detector on the proposals of another method: lines image,x1,y1,x2,y2,score, as 'rcnn recall --proposals-file' reads them; several files count as one. As published, an update takes 64 RoIs of each of two images, background from an IoU of 0.1. detector.rpn.train.postNms and .test.postNms say how many of an image's proposals are used, the best ones.",
  '--schedule spp-net does the same with pyramid pooling and convolutions that are not trained.',
  '--schedule rcnn crops each region out of the image and warps it to detector.crop.size pixels; an update takes 8 RoIs of each of 16 images. After it, linear SVMs and a regression of boxes are fitted to the network; detector.head.scorer=softmax leaves them out.',
];

export function addTrain(program: Command): void {
  const described = program
    .command('train')
    .description('Train a detector. The run directory holds its configuration, losses and checkpoint.');
  const command = withDataOptions(described, {
    data: 'default: digits',
    split: { text: "the split to train on; default: train or the preset's, or all images of a single COCO file" },
  })
    .option('--out <dir>', 'the run directory; default: runs/PRESET')
    .option('--preset <name>', 'a configuration, listed below; default: digits, or photos for any other data');
  withList(command, 'Presets:', () =>
    Object.entries(PRESETS).map(([name, preset]) => [name, `${preset.summary}; ${stepsOf(preset)}`]),
  );
  withBackbones(command, "the preset's")
    .option(
      '--schedule <name>',
      `what is trained, and how the RPN and the detector share features: ${SCHEDULES.join(', ')}; default: joint`,
    )
    .option(
      '--proposals <file,...>',
      'with a schedule that has no RPN: proposals of another method, in CSV, for all images to train and validate on',
    )
    .option('--init <file>', INIT_TEXT)
    .option(
      '--input <form>',
      'colours as the initial weights expect them: bgr (Caffe) or rgb (torchvision); default: read from --init if it says',
    )
    .option('--steps <n>', "steps of joint training; the preset's milestones and stages scale with it", positiveInteger)
    .option('--learning-rate <x>', 'learning rate after the warm-up', positiveNumber)
    .option('--seed <n>', 'seed of the weights, the order of the images and the sampling', seed)
    .addOption(setOption('the preset, e.g. detector.rpn.lambda=10'))
    .option('--skip-bad-boxes', 'leave out boxes outside their image or without area, instead of stopping')
    .option('--checkpoint-every <n>', 'steps between checkpoints; default: 200', positiveInteger)
    .option('--save-every <n>', 'also keep the checkpoint of every n-th step, as checkpoint-STEP', positiveInteger)
    .option('--keep <k>', 'with --save-every, keep only the last k; default: all', positiveInteger)
    .option('--validate <split>', 'also evaluate on this split from time to time, and keep the best weights')
    .option(
      '--validate-data <spec>',
      'validate on this data instead of --data; --validate names its split, default: val, or all of a single COCO file',
    )
    .option('--validate-every <n>', 'steps between evaluations; default: a tenth of the run', positiveInteger)
    .option('--validate-images <n>', 'evaluate on at most n images, evenly spaced; default: 100', positiveInteger)
    .option(
      '--patience <n>',
      'end the training after n evaluations without a better mAP; default: never',
      positiveInteger,
    )
    .option('--tune', 'time the kernels on this device before training; the default on a GPU')
    .option('--no-tune', 'keep the kernels that the planner chooses; the default on a software adapter')
    .option(
      '--deterministic',
      'plan the kernels for limits that every WebGPU device has, and record them; default on a software adapter without --tune',
    )
    .option('--no-deterministic', 'plan the kernels for the limits of this device')
    .addOption(precisionOption())
    .option(
      '--tensorboard',
      'write losses, validation and pictures of detections for TensorBoard, in the run directory',
    )
    .option('--resume', 'continue the run in --out from its checkpoint, with its configuration')
    .addOption(adapterOption());
  withDistributedOptions(command).action(train);
  for (const text of SCHEDULE_TEXTS) withParagraph(command, text);
  withExample(
    command,
    'rcnn train --data digits --preset digits --out runs/digits',
    'rcnn train --data voc:my-data --init squeezenet1_1.safetensors --input rgb --out runs/mine',
    'rcnn train --data voc:my-data --init squeezenet1_1.safetensors --input rgb --validate val',
    'rcnn train --schedule alternating --set training.stages.rpn.steps=2000 --out runs/alternating',
    'rcnn train --schedule fast-rcnn --proposals train.csv,val.csv --validate val --data voc:my-data',
    'rcnn train --resume --out runs/mine',
  );
}

/** The steps of joint training, of an RPN stage and of a detector stage. */
function stepsOf({ training, staged }: Preset): string {
  const [rpn, detector] = stagesOf('unshared').map(
    (stage) => stageTraining(stage, { ...training, ...staged?.training }).steps,
  );
  return `${count(training.steps)} steps, in stages ${rpn === detector ? count(rpn!) : `${count(rpn!)} and ${count(detector!)}`}`;
}

const train = (command: TrainCommand): Promise<void> => together(command, (processes) => trainIn(processes, command));

async function trainIn(
  processes: Processes,
  { adapter, out, resume = false, tune, tensorboard = false, allowMixedDevices, ...choices }: TrainCommand,
): Promise<void> {
  const preset = findPreset(choices.preset, choices.data ?? 'digits').name;
  const directory = new RunDirectory(out ?? join('runs', preset));
  if (tune && choices.deterministic)
    throw new UserError(
      '--tune: timings would choose the kernels, which --deterministic rules out; leave out one of the two',
    );
  const resumeCommand = shellCommand('rcnn', 'train', '--resume', '--out', directory.path);
  await withLock(processes, directory.path, async () => {
    const run = await openTogether(processes, () => (resume ? reopen(choices, directory) : open(choices, directory)));
    if (tune && run.config.plannedFor) {
      throw new UserError(`--tune: the run to resume is deterministic (${directory.configPath}); leave the option out`);
    }
    await withSharedGpu(processes, { adapter, allowMixedDevices }, async (gpu, mixed) => {
      const deterministic = choices.deterministic ?? (gpu.adapter.software && !tune);
      const config = await processes.lead(() => {
        const planned = resume || !deterministic ? run.config : withPlannedKernels(run.config, gpu);
        if (!mixed || planned.mixedDevices) return planned;
        if (resume) directory.writeConfig({ ...planned, mixedDevices: true });
        return { ...planned, mixedDevices: true as const };
      });
      await trainOnTerminal({
        ...run,
        config,
        gpu,
        directory,
        resume,
        resumeCommand,
        processes,
        tensorboard,
        tune: tune ?? !gpu.adapter.software,
      });
    });
  });
}

/** The run as the first process opens it; the others open the same data, each for itself. */
async function openTogether(processes: Processes, openFirst: () => Promise<ConfiguredRun>): Promise<ConfiguredRun> {
  let first: ConfiguredRun | undefined;
  const config = await processes.lead(async () => (first = await openFirst()).config);
  const run = first ?? (await reopenRun(config));
  const { dataset, validation } = run;
  await assertSameData(processes, config.data, [dataset, ...(validation ? [validation] : [])].map(rowsOf));
  return run;
}

async function open(choices: RunChoices, directory: RunDirectory) {
  assertOutputs(directory.files, { files: [choices.init, ...(choices.proposals?.split(',') ?? [])] });
  directory.assertFree();
  const run = await configureRun(choices);
  await lookAtImages([...run.dataset.samples, ...(run.validation?.samples ?? [])]);
  return run;
}

/** After this long, the progress of the check is shown. */
const LONG_MS = 2000;

/** Checks that each file is an image of the size its annotations state. A resumed run was checked when it began. */
async function lookAtImages(samples: readonly Sample[]): Promise<void> {
  const started = performance.now();
  let progress: ProgressBar | undefined;
  let done = 0;
  try {
    const notes = await checkImages(samples, () => {
      done++;
      if (performance.now() - started < LONG_MS) return;
      if (!progress) console.log('checking every image');
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
  return reopenRun(config);
}
