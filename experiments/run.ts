/**
 * `npm run experiments`: the paper's experiments on the digit scenes, each with several seeds; writes docs/experiments.md
 * and its plot. Ctrl-C stops it, and the same command continues it.
 */
import { Command, Option } from 'commander';
import { fileURLToPath } from 'node:url';
import { positiveInteger, withGpu, adapterOption, type AdapterKind } from '../src/cli/common.ts';
import { replaceFile } from '../src/engine/node/writeFile.ts';
import { writePng } from '../src/draw/canvas.ts';
import { COMMENTS } from './comments.ts';
import { EXPERIMENTS } from './plan.ts';
import { plotExperiments } from './plot.ts';
import { replay, type Settings } from './replay.ts';
import { measured, report, section } from './report.ts';

interface Options extends Settings {
  adapter: AdapterKind;
  reportOnly?: boolean;
}

const docs = (name: string): string => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));

async function main(options: Options): Promise<void> {
  const controller = new AbortController();
  process.once('SIGINT', () => {
    console.log('stopping; the same command continues');
    controller.abort();
  });
  await withGpu(options.adapter, async (gpu) => {
    if (!options.reportOnly) await replay(gpu, options, controller.signal);
    if (options.only !== undefined) {
      console.log(
        section(
          options,
          EXPERIMENTS.find(({ id }) => id === options.only)!,
          COMMENTS,
        ),
      );
      return;
    }
    replaceFile(docs('experiments.md'), report(options, gpu.adapter.description, COMMENTS));
    await writePng(
      docs('experiments.png'),
      plotExperiments(EXPERIMENTS.map((experiment) => ({ ...experiment, rows: measured(options, experiment) }))),
    );
    console.log('written: docs/experiments.md, docs/experiments.png');
  });
}

await new Command('experiments')
  .description("Replays the paper's experiments on the digit scenes.")
  .option('--out <dir>', 'where the runs are kept', 'runs/experiments')
  .option('--steps <n>', 'training steps of each network', positiveInteger, 1200)
  .option('--seeds <n>', 'how often each network is trained', positiveInteger, 3)
  .option('--images <n>', 'how many test scenes', positiveInteger, 200)
  .addOption(
    new Option(
      '--only <id>',
      'run this experiment alone, and print its table instead of writing the documents',
    ).choices(EXPERIMENTS.map(({ id }) => id)),
  )
  .option('--report-only', 'only write the report of the results that exist')
  .addOption(adapterOption())
  .action(main)
  .parseAsync();
