/** `rcnn eval`: average precision of a trained detector. */
import type { Command } from 'commander';
import type { VocMetric } from '../eval/voc.ts';
import { withSettings } from '../run/configSchema.ts';
import { drawResults } from '../run/drawResults.ts';
import { evaluate } from '../run/evaluate.ts';
import { loadModel } from '../run/loadModel.ts';
import { RunDirectory } from '../run/runDirectory.ts';
import {
  type AdapterKind,
  adapterOption,
  evaluationTable,
  metric,
  openTestData,
  printPictures,
  setOption,
  type TestDataOptions,
  withExample,
  withGpu,
  withTestData,
  writeJson,
} from './common.ts';
import { startProgress } from './progress.ts';

interface EvalCommand extends TestDataOptions {
  metric: VocMetric;
  json?: string;
  pictures?: string;
  set?: string[];
  adapter: AdapterKind;
}

export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .description('Measure the average precision (AP) of a trained detector, for each class and on average.');
  withTestData(command)
    .option('--metric <name>', 'voc10 (area under the curve) or voc07 (11 points)', metric, 'voc10' as const)
    .addOption(setOption("one of the run's, e.g. detector.rpn.test.postNms=50"))
    .option('--json <file>', 'also write metric, mAP, ap by class, images and seconds')
    .option('--pictures <dir>', 'also draw detections and proposals in the first images, and the curves of the losses')
    .addOption(adapterOption())
    .action(evaluateModel);
  withExample(command, 'rcnn eval --model runs/digits --data digits --json digits.json');
}

async function evaluateModel(options: EvalCommand): Promise<void> {
  const dataset = await openTestData(options);
  await withGpu(options.adapter, async (gpu) => {
    const model = await loadModel(
      gpu,
      options.model,
      (config) => withSettings(config, options.set ?? []),
      options.weights,
    );
    const progress = startProgress(dataset.samples.length, 'image');
    try {
      const { report, detections } = await evaluate(model, dataset, options.metric, (done) => progress.update(done));
      progress.stop();
      console.log(evaluationTable(report));
      if (options.pictures !== undefined) {
        const run = new RunDirectory(options.model);
        printPictures(await drawResults(model, dataset, detections, run, options.pictures));
      }
      if (options.json !== undefined) writeJson(options.json, report);
    } finally {
      progress.stop();
    }
  });
}
