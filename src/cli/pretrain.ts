/** `rcnn pretrain`: trains a backbone as an image classifier, to make initial weights for a detector. */
import type { Command } from 'commander';
import { join } from 'node:path';
import type { LabelledImages } from '../data/types.ts';
import type { Processes } from '../distributed/processes.ts';
import type { BackboneDescriptor } from '../model/backbones/backbone.ts';
import { BACKBONES } from '../model/backbones/index.ts';
import {
  pretrain as runPretrain,
  type PretrainOptions,
  type PretrainResult,
  validate,
} from '../run/training/pretrain.ts';
import {
  configurePretrain,
  openPretrainData,
  PRETRAIN_BACKBONE,
  type PretrainChoices,
  type PretrainConfig,
  type PretrainDirectory,
  pretrainDirectory,
  reopenPretrain,
} from '../run/config/pretrainConfig.ts';
import { shellCommand } from '../run/storage/shellCommand.ts';
import {
  type AdapterKind,
  positiveInteger,
  positiveNumber,
  seed,
  withBackbones,
  withSessionOptions,
} from './common.ts';
import { withExample } from './helpText.ts';
import { assertSameData, type DistributedOptions, together, withDistributedOptions, withLock } from './distributed.ts';
import { withSharedGpu } from './distributedDevices.ts';
import { assertOutputs } from './outputs.ts';
import { columns, startProgress } from './progress.ts';
import { count } from './text.ts';
import { countParameters, describeInit, withTrainingDisplay } from './trainingDisplay.ts';

interface PretrainCommand extends PretrainChoices, DistributedOptions {
  out?: string;
  resume?: boolean;
  adapter: AdapterKind;
}

/** A value of the backbones' pre-training: that of most of them, then the others: `224; small 48`. */
function byBackbone(value: (backbone: BackboneDescriptor) => number): string {
  const names = new Map<number, string[]>();
  for (const backbone of BACKBONES.values())
    names.set(value(backbone), [...(names.get(value(backbone)) ?? []), backbone.name]);
  const [[usual], ...others] = [...names].sort(([, a], [, b]) => b.length - a.length) as [[number, string[]]];
  return [String(usual), ...others.map(([n, those]: [number, string[]]) => `${those.join(', ')} ${n}`)].join('; ');
}

export function addPretrain(program: Command): void {
  const described = program
    .command('pretrain')
    .description("Train a backbone as an image classifier. 'rcnn train --init' starts from its checkpoint.")
    .option(
      '--data <spec>',
      "'mnist' (drawn in colour) or 'folder:PATH' (with a folder of images per class); default: mnist",
    );
  withBackbones(described, PRETRAIN_BACKBONE)
    .option('--out <dir>', 'the run directory; default: runs/pretrain-BACKBONE')
    .option(
      '--size <n>',
      `side of the network's input in pixels; default: ${byBackbone(({ pretraining }) => pretraining.size)}`,
      positiveInteger,
    )
    .option('--steps <n>', 'training steps; default: 2000', positiveInteger)
    .option(
      '--batch <n>',
      `images per step; default: ${byBackbone(({ pretraining }) => pretraining.batch)}`,
      positiveInteger,
    )
    .option(
      '--micro-batch <n>',
      'images of a forward and backward pass; default: the batch, with --distributed an eighth of it',
      positiveInteger,
    )
    .option('--learning-rate <x>', 'learning rate after the warm-up', positiveNumber)
    .option('--seed <n>', 'seed of the weights, the order of the images, the crops and the drawn digits', seed);
  const command = withDistributedOptions(withSessionOptions(described)).action(pretrain);
  withExample(
    command,
    'rcnn pretrain --data mnist --out runs/mnist',
    'rcnn train --init runs/mnist/checkpoint.safetensors',
    'rcnn pretrain --data folder:photos --backbone squeezenet1_1',
  );
}

const pretrain = ({ out, ...command }: PretrainCommand): Promise<void> =>
  together(command, (processes) => {
    const directory = pretrainDirectory(out ?? join('runs', `pretrain-${command.backbone ?? PRETRAIN_BACKBONE}`));
    return withLock(processes, directory.path, () => pretrainIn(processes, directory, command));
  });

async function pretrainIn(
  processes: Processes,
  directory: PretrainDirectory,
  { adapter, resume = false, allowMixedDevices, distributed, ...choices }: Omit<PretrainCommand, 'out'>,
): Promise<void> {
  let first: { config: PretrainConfig; data: LabelledImages } | undefined;
  let config = await processes.lead(async () => {
    if (!resume) {
      assertOutputs(directory.files, { files: [choices.init] });
      directory.assertFree();
    }
    first = await (resume ? reopenPretrain(choices, directory) : configurePretrain(choices, distributed));
    return first.config;
  });
  const data = first?.data ?? (await openPretrainData(config));
  await assertSameData(
    processes,
    config.data,
    [data.train, data.val].map((images) => images.map(({ id, label }) => [id, label])),
  );
  await withSharedGpu(processes, { adapter, allowMixedDevices }, async (gpu, mixed) => {
    if (mixed) {
      config = { ...config, mixedDevices: true };
      if (resume && processes.leads) directory.writeConfig(config);
    }
    const result = await onTerminal({ gpu, data, directory, config, resume, processes });
    if (!result.finished) return;
    const progress = startProgress(data.val.length, 'image');
    try {
      const batch = config.training.imagesPerStep;
      const onImages = (done: number): void => progress.update(done);
      const { images, top1, top5 } = await validate(result.model, data, batch, onImages, processes);
      progress.stop();
      const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
      const five = top5 === null ? '' : `, top-5 ${percent(top5)}`;
      console.log(`accuracy on ${images} validation images: top-1 ${percent(top1)}${five}`);
    } finally {
      progress.stop();
    }
    console.log(
      `train a detector from it with: ${shellCommand('rcnn', 'train', '--init', directory.checkpointPath, '--backbone', config.classifier.backbone)}`,
    );
  });
}

async function onTerminal(run: PretrainOptions): Promise<PretrainResult> {
  const { gpu, data, directory, config, resume, processes } = run;
  const resumeCommand = shellCommand('rcnn', 'pretrain', '--resume', '--out', directory.path);
  let memory = 0;
  return withTrainingDisplay({ path: directory.path, resumeCommand }, (display) =>
    runPretrain({
      gpu,
      data,
      directory,
      config,
      resume,
      signal: display.signal,
      processes,
      onInit: (report) => console.log(describeInit(config.init!, config.classifier.input, report)),
      onMemory: (bytes) => (memory = bytes),
      onCompiled: display.compiled,
      onCheckpoint: display.saved,
      onStart: ({ step }, model) => {
        console.log(describeRun(run, countParameters(model), memory));
        display.start(step, config.training);
      },
      onMetrics: (line) => (display.losses = `loss ${line.loss.toFixed(columns() < 90 ? 2 : 3)}`),
      onStep: (step) => display.update(step, display.losses),
    }),
  );
}

function describeRun({ data, directory, config }: PretrainOptions, parameters: number, memory: number): string {
  const { classifier, training } = config;
  return [
    `data      ${config.data}: ${count(data.train.length)} images, ${count(data.val.length)} for validation, ${data.classes.length} classes`,
    `network   ${classifier.backbone}, ${count(parameters)} parameters, input ${classifier.input.size}x${classifier.input.size}`,
    `training  ${count(training.steps)} steps of ${training.imagesPerStep} images, learning rate ${training.learningRate}, seed ${training.seed}`,
    `memory    a step needs ${Math.ceil(memory / 2 ** 20)} MiB on the device`,
    `run       ${directory.path}`,
  ].join('\n');
}
