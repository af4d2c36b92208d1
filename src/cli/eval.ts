/** `rcnn eval`: average precision of a trained detector. */
import type { Command } from 'commander';
import { openDataset } from '../data/dataset.ts';
import type { VocMetric } from '../eval/voc.ts';
import { evaluate } from '../run/evaluate.ts';
import { loadModel, readTrainedConfig } from '../run/loadModel.ts';
import { RunDirectory } from '../run/runDirectory.ts';
import { type AdapterKind, adapterOption, evaluationTable, metric, withExample, withGpu, writeJson } from './common.ts';
import { startProgress } from './progress.ts';

interface EvalCommand {
  model: string;
  data: string;
  split: string;
  metric: VocMetric;
  json?: string;
  skipBadBoxes?: boolean;
  adapter: AdapterKind;
}

export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .description('Measure the average precision (AP) of a trained detector, for each class and on average.')
    .requiredOption('--model <dir>', 'a run directory')
    .requiredOption('--data <spec>', "'digits' or 'voc:PATH', as for train; its classes must be the model's")
    .option('--split <name>', 'the part to evaluate on', 'test')
    .option('--metric <name>', 'voc10 (area under the curve) or voc07 (11 points)', metric, 'voc10' as const)
    .option('--json <file>', 'also write metric, mAP, ap by class, images and seconds')
    .option('--skip-bad-boxes', 'leave out boxes outside their image or without area, instead of stopping')
    .addOption(adapterOption())
    .action(evaluateModel);
  withExample(command, 'rcnn eval --model runs/digits --data digits --json digits.json');
}

async function evaluateModel(options: EvalCommand): Promise<void> {
  const config = readTrainedConfig(new RunDirectory(options.model));
  const dataset = await openDataset(options.data, {
    split: options.split,
    classes: config.detector.classes.slice(1),
    onBadBox: options.skipBadBoxes || config.skipBadBoxes ? 'skip' : 'error',
  });
  for (const note of dataset.notes) console.log(`note: ${note}`);
  await withGpu(options.adapter, async (gpu) => {
    const model = await loadModel(gpu, options.model);
    const progress = startProgress(dataset.samples.length, 'image');
    try {
      const { report } = await evaluate(model, dataset, options.metric, (done) => progress.update(done));
      progress.stop();
      console.log(evaluationTable(report));
      if (options.json !== undefined) writeJson(options.json, report);
    } finally {
      progress.stop();
    }
  });
}
