/** `rcnn eval`: the average precision of a trained detector, or of saved detections. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import type { Processes } from '../distributed/processes.ts';
import { stageTimes } from '../bench/stageTimes.ts';
import { UserError } from '../engine/errors.ts';
import { assertPackages, DRAWING } from '../engine/node/optionalPackages.ts';
import { withDetectorSettings, withPrecision } from '../run/config/configSchema.ts';
import { detectionWriter, readDetectionFile } from '../run/evaluation/detectionFiles.ts';
import { drawResults } from '../run/evaluation/drawResults.ts';
import { evaluate, evaluateDetections, type EvaluationReport, type Metric } from '../run/evaluation/evaluate.ts';
import { evaluationTable } from '../run/evaluation/evaluationTable.ts';
import type { Precision } from '../model/config.ts';
import { isWeightsFile, loadModel } from '../run/storage/loadModel.ts';
import { REPORT_FILES, writeEvaluationReport } from '../run/evaluation/evaluationReport.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { shellCommand } from '../run/storage/shellCommand.ts';
import {
  type AdapterKind,
  adapterOption,
  giveTestProposals,
  metric,
  openTestData,
  precisionOption,
  printPictures,
  setOption,
  type TestDataOptions,
  type TileChoices,
  tilesFor,
  trainedOption,
  withTestData,
  withTileOptions,
  writeJson,
} from './common.ts';
import { withExample } from './helpText.ts';
import { assertSameData, type DistributedOptions, rowsOf, together, withDistributedOptions } from './distributed.ts';
import { withSharedGpu } from './distributedDevices.ts';
import { assertOutputs } from './outputs.ts';
import { startProgress } from './progress.ts';
import { VERSION } from './version.ts';

/** Images whose detection is timed part by part for the report. */
const TIMED_IMAGES = 5;

interface EvalCommand extends TestDataOptions, DistributedOptions, TileChoices {
  model?: string;
  from?: string;
  metric: Metric;
  json?: string;
  detections?: string;
  proposals?: string;
  pictures?: string;
  report?: string;
  set?: string[];
  precision: Precision;
  adapter: AdapterKind;
}

export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .description('Measure the average precision (AP) of a trained detector, for each class and on average.')
    .addOption(trainedOption(false));
  withTestData(command)
    .option(
      '--metric <name>',
      "voc10 (area under the curve), voc07 (11 points) or coco (COCO's twelve numbers)",
      metric,
      'voc10' as const,
    )
    .addOption(setOption('the run, e.g. detector.rpn.test.postNms=50'))
    .option(
      '--json <file>',
      'also write the metric, mAP, AP by class, images, seconds and, for coco, the twelve numbers',
    )
    .option(
      '--proposals <file,...>',
      'proposals of another method, in CSV, for the images to evaluate on: for a run that was trained on those',
    )
    .option('--detections <file>', "also write the detections in COCO's results format")
    .addOption(
      new Option('--from <file>', 'evaluate the detections in such a file instead of a model').conflicts([
        'model',
        'set',
        'detections',
        'pictures',
        'proposals',
        'tile',
      ]),
    )
    .option('--pictures <dir>', 'also draw detections and proposals in the first images, and the loss curves')
    .option(
      '--report <dir>',
      'also write a page that shows what is wrong (report.html: errors by kind, confusion, curves), and its figures as JSON and CSV',
    )
    .addOption(precisionOption().default('f32'))
    .addOption(adapterOption());
  withDistributedOptions(withTileOptions(command)).action(evaluateModel);
  withExample(
    command,
    'rcnn eval --model runs/digits --data digits --json digits.json',
    'rcnn eval --model runs/coco --data coco:val2017,instances_val2017.json --metric coco --detections results.json',
    'rcnn eval --from results.json --data coco:val2017,instances_val2017.json --metric voc10',
  );
}

const evaluateModel = (options: EvalCommand): Promise<void> =>
  together(options, (processes) => evaluateIn(processes, options));

/** Every process reads the model and the data; the first reports. */
async function evaluateIn(processes: Processes, options: EvalCommand): Promise<void> {
  const { model: path, from } = options;
  if (path === undefined && from === undefined) {
    throw new UserError(
      '--model is missing: give a run directory or a file of weights, or saved detections with --from',
    );
  }
  const { json, detections, pictures, report: reportFolder } = options;
  if (pictures !== undefined || reportFolder !== undefined) assertPackages(...DRAWING);
  const tiles = tilesFor(options, options.proposals);
  const reports = reportFolder === undefined ? [] : REPORT_FILES.map((name) => join(reportFolder, name));
  assertOutputs([json, detections, pictures && join(pictures, 'detections.png'), ...reports], {
    files: [from, ...(options.proposals?.split(',') ?? [])],
    model: path,
    data: options.data,
  });
  const dataset = await openTestData(options);
  if (path !== undefined) await giveTestProposals(options.proposals, path, dataset);
  if (path === undefined) {
    const started = performance.now();
    if (!processes.leads) return;
    const saved = readDetectionFile(from!, dataset);
    report(options, evaluateDetections(saved, dataset, options.metric, started));
    if (reportFolder !== undefined) {
      const facts = [['detections', from!] as const, ...factsOf(options)];
      printPictures({ report: await writeEvaluationReport(reportFolder, { dataset, detections: saved, facts }) });
    }
    return;
  }
  await assertSameData(processes, options.data, [rowsOf(dataset)]);
  const write = detections === undefined || !processes.leads ? undefined : detectionWriter(detections, dataset);
  await withSharedGpu(processes, options, async (gpu) => {
    const model = await loadModel(
      gpu,
      path,
      (config) => withPrecision(withDetectorSettings(config, options.set ?? []), options.precision),
      options.weights,
    );
    const progress = startProgress(dataset.samples.length, 'image');
    try {
      const onImage = (done: number): void => progress.update(done);
      const evaluation = await evaluate(model, dataset, options.metric, { onImage, processes, tiles });
      progress.stop();
      if (!processes.leads) return;
      report(options, evaluation.report);
      write?.(evaluation.detections);
      const run = isWeightsFile(path) ? undefined : new RunDirectory(path);
      if (pictures !== undefined) {
        printPictures(await drawResults(model, dataset, evaluation.detections, run, pictures));
      }
      if (reportFolder !== undefined) {
        const { description } = gpu.adapter;
        const facts = [
          ['run', path],
          ['weights', String(options.weights)],
          ...factsOf(options),
          ['device', description],
        ] as const;
        const stages = await stageTimes(model, dataset.samples.slice(0, TIMED_IMAGES));
        const inputs = { dataset, detections: evaluation.detections, ...(run && { run }), stages, facts };
        printPictures({ report: await writeEvaluationReport(reportFolder, inputs) });
      }
    } finally {
      progress.stop();
    }
  });
}

function report({ json }: EvalCommand, evaluated: EvaluationReport): void {
  console.log(evaluationTable(evaluated));
  if (json !== undefined) writeJson(json, evaluated);
}

/** What the report says of how it was made. */
const factsOf = ({ data, split }: EvalCommand): (readonly [string, string])[] => [
  ['data', split === undefined ? data : `${data}, split ${split}`],
  ['command', shellCommand('rcnn', ...process.argv.slice(2))],
  ['version', `webgpu-rcnn ${VERSION}, Node ${process.version}`],
  ['date', new Date().toISOString().slice(0, 10)],
];
