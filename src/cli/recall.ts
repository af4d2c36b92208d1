/** `rcnn recall`: the share of objects that the proposals cover, against IoU (the paper's Figure 4). */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { readProposalFile } from '../data/proposalFiles.ts';
import { writePng } from '../draw/canvas.ts';
import { plotRecall } from '../draw/recall.ts';
import { assertPackages, DRAWING } from '../engine/node/optionalPackages.ts';
import { loadModel } from '../run/storage/loadModel.ts';
import {
  countedObjects,
  networkProposals,
  randomAnchors,
  RECALL_CURVE,
  type RecallRow,
  recallRows,
} from '../run/evaluation/recall.ts';
import {
  type AdapterKind,
  adapterOption,
  openTestData,
  positiveInteger,
  type TestDataOptions,
  testSplit,
  withGpu,
  withTestData,
  writeJson,
} from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { startProgress } from './progress.ts';

interface RecallCommand extends TestDataOptions {
  model: string;
  proposals: number[];
  baseline?: 'anchors';
  proposalsFile?: NamedFile[];
  out: string;
  json?: string;
  adapter: AdapterKind;
}

interface NamedFile {
  name: string;
  path: string;
}

const NETWORK = 'RPN';
const ANCHORS = 'sliding anchors';
/** The seed that draws the anchors: any will do. */
const ANCHOR_SEED = 1;

export function addRecall(program: Command): void {
  const command = program
    .command('recall')
    .description('Measure the recall of proposals, of a network and of other methods, and plot it against IoU.')
    .requiredOption('--model <dir>', 'a run directory');
  withTestData(command)
    .option('--proposals <n,...>', 'numbers of proposals per image, one panel each', counts, [50, 300, 1000, 2000])
    .addOption(
      new Option('--baseline <name>', "also measure the network's anchors, drawn at random").choices(['anchors']),
    )
    .option('--proposals-file <name=file>', 'also measure those of another method, in CSV; repeatable', namedFiles)
    .option('--out <file>', 'the plot, PNG', 'recall.png')
    .option('--json <file>', 'also write the table and the curves')
    .addOption(adapterOption())
    .action(measureRecall);
  withExample(
    command,
    'rcnn recall --model runs/mine --data voc:my-data --baseline anchors --proposals-file EdgeBoxes=eb.csv',
  );
}

/** Reads files before opening the device, and writes nothing before everything is computed. */
async function measureRecall(options: RecallCommand): Promise<void> {
  assertPackages(...DRAWING);
  const files = options.proposalsFile ?? [];
  assertOutputs([options.out, options.json], {
    files: files.map(({ path }) => path),
    model: options.model,
    data: options.data,
  });
  const dataset = await openTestData(options);
  const { samples } = dataset;
  const objects = countedObjects(samples);
  const others: RecallRow[] = [];
  for (const { name, path } of files) {
    others.push(...recallRows(name, await readProposalFile(path, samples), objects, options.proposals));
  }
  await withGpu(options.adapter, async (gpu) => {
    const most = Math.max(...options.proposals);
    const model = await loadModel(gpu, options.model, undefined, options.weights);
    const progress = startProgress(samples.length, 'image');
    try {
      const proposals = await networkProposals(model, samples, most, (done) => progress.update(done));
      progress.stop();
      const rows = recallRows(NETWORK, proposals, objects, options.proposals);
      if (options.baseline === 'anchors') {
        const anchors = await randomAnchors(model, samples, most, ANCHOR_SEED);
        rows.push(...recallRows(ANCHORS, anchors, objects, options.proposals));
      }
      rows.push(...others);
      const what = `${dataset.name}, split ${testSplit(options)}, ${samples.length} images, ${objects.flat().length} objects`;
      console.log(`recall of proposals on ${what}\n${recallTable(rows)}`);
      await writePng(options.out, plotRecall(rows, RECALL_CURVE, `Recall of proposals on ${what}`));
      if (options.json !== undefined) {
        writeJson(options.json, {
          images: samples.length,
          objects: objects.flat().length,
          iou: RECALL_CURVE,
          recall: rows,
        });
      }
      console.log(`drawn in ${options.out}`);
    } finally {
      progress.stop();
    }
  });
}

/** '50,300' -> [50, 300], ascending. */
function counts(text: string): number[] {
  return [...new Set(text.split(',').map((part) => positiveInteger(part.trim())))].sort((a, b) => a - b);
}

/** Adds NAME=FILE to those given before. */
function namedFiles(text: string, before: NamedFile[] = []): NamedFile[] {
  const [, name, path] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || path === undefined) throw new InvalidArgumentError('It must be NAME=FILE.');
  if ([NETWORK, ANCHORS, ...before.map((file) => file.name)].includes(name)) {
    throw new InvalidArgumentError(`The name ${name} is taken.`);
  }
  return [...before, { name, path }];
}

function recallTable(rows: readonly RecallRow[]): string {
  const width = Math.max('method'.length, ...rows.map(({ method }) => method.length));
  const line = (method: string, ...cells: string[]) =>
    `  ${method.padEnd(width)}${cells.map((cell) => cell.padStart(11)).join('')}`;
  return [
    line('method', 'proposals', 'mean', 'IoU 0.5', 'IoU 0.7', 'average'),
    ...rows.map((row) =>
      line(
        row.method,
        String(row.proposals),
        row.meanProposals.toFixed(1),
        ...[row.recall50, row.recall70, row.averageRecall].map((recall) => recall.toFixed(4)),
      ),
    ),
  ].join('\n');
}
