/** `rcnn bench`: checks and times every kernel and the whole detector on this device, and compares them with its peaks. */
import { freemem } from 'node:os';
import type { Command } from 'commander';
import { type BenchCase, caseName } from '../bench/case.ts';
import { benchCases } from '../bench/cases/index.ts';
import { compareReports, type RowComparison } from '../bench/compareReports.ts';
import { hasTimestamps } from '../bench/measure.ts';
import { type BenchReport, readBenchReport } from '../bench/report.ts';
import { runBench, selectCases } from '../bench/run.ts';
import { BenchTable, milliseconds } from '../bench/table.ts';
import { UserError } from '../engine/errors.ts';
import { type AdapterKind, adapterOption, positiveNumber, withGpu, writeJson } from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { table } from './text.ts';

interface BenchCommand {
  filter?: string;
  quick?: boolean;
  list?: boolean;
  tune?: boolean;
  profile?: boolean;
  json?: string;
  compare?: string[];
  tolerance: number;
  differentDevices?: boolean;
  adapter: AdapterKind;
}

/** Memory limit of the largest row: a training step of VGG-16 fits. */
const MEMORY_BYTES = 4 * 2 ** 30;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('Check and time every kernel and the whole detector on this device, or compare two reports.')
    .option('--filter <text>', 'only rows whose name contains this; see --list')
    .option('--quick', 'fewer shapes and repetitions')
    .option('--tune', 'also let the tuner choose the kernels of each row, and time it again')
    .option('--profile', 'also show where the time of each row goes: recording, kernels, gaps between them')
    .option('--list', 'print the names of the rows without measuring anything')
    .option('--json <file>', 'also write system, adapter, peaks and all rows, updated after each row')
    .option('--compare <files...>', 'compare two reports row by row; exit code 1 if the second is slower or wrong')
    .option('--tolerance <x>', 'a row is slower if it takes more than x times as long', positiveNumber, 1.15)
    .option('--different-devices', 'compare reports of different devices')
    .addOption(adapterOption())
    .action(bench);
  withExample(
    command,
    'rcnn bench --quick',
    "rcnn bench --filter 'vgg-16 convolutions' --json bench.json",
    'rcnn bench --compare before.json after.json',
  );
}

async function bench(command: BenchCommand): Promise<void> {
  if (command.compare) return compare(command.compare, command);
  const { filter = '', quick = false, list = false, tune = false, profile = false, json, adapter } = command;
  const cases = selectCases(benchCases(Math.min(MEMORY_BYTES, freemem() / 2)), filter, quick);
  if (cases.length === 0) {
    const short = quick ? ' of the short run (--quick)' : '';
    throw new UserError(`--filter ${filter}: no row${short} has this in its name; rcnn bench --list prints them`);
  }
  assertOutputs([json]);
  if (list) return cases.forEach((item: BenchCase) => console.log(caseName(item)));
  await withGpu(adapter, async (gpu) => {
    const clock = hasTimestamps(gpu) ? 'timestamp queries' : 'the wall clock';
    console.log(`kernels timed by ${clock}, detections and training steps by the wall clock until the device is done`);
    const table = new BenchTable(cases);
    const report = await runBench(
      gpu,
      cases,
      { ...(quick ? { repetitions: 3, budgetMs: 500 } : { repetitions: 7, budgetMs: 2000 }), tune, profile },
      {
        onPeaks: ({ gflops, gbps }) =>
          console.log(`peaks of this adapter: ${gflops.toFixed(1)} GFLOP/s multiply-add, ${gbps.toFixed(1)} GB/s copy`),
        onRow(row, soFar) {
          table.lines(row).forEach((line) => console.log(line));
          if (json !== undefined) writeJson(json, soFar);
        },
      },
    );
    if (json !== undefined) writeJson(json, report);
    const { rows, failed, skipped = [] } = report;
    console.log(`\n${rows.length - failed} rows right, ${failed} wrong`);
    if (skipped.length > 0) {
      console.log(`${skipped.length} left out: this device has no half precision (WebGPU's feature shader-f16)`);
    }
    if (failed > 0) process.exitCode = 1;
  });
}

function compare(
  files: readonly string[],
  { tolerance, differentDevices }: Pick<BenchCommand, 'tolerance' | 'differentDevices'>,
): void {
  if (files.length !== 2) throw new UserError(`--compare: ${files.length} files; give two reports, the earlier first`);
  const [before, after] = files.map(readBenchReport) as [BenchReport, BenchReport];
  const options = { tolerance, ...(differentDevices && { differentDevices }) };
  const { rows, mean, slower, wrong, unmatched } = compareReports(before, after, options);
  const line = ({ name, before_ms, after_ms, ratio }: RowComparison): string[] => [
    name,
    milliseconds(before_ms),
    milliseconds(after_ms),
    ratio.toFixed(2),
  ];
  console.log(table([['row', 'before ms', 'after ms', 'times as fast'], ...rows.map(line)]));
  if (mean !== null) console.log(`\ngeometric mean of ${rows.length} rows: ${mean.toFixed(2)} times as fast`);
  if (unmatched.length > 0) console.log(`only in one report, or without a time in the first: ${unmatched.join('; ')}`);
  for (const name of wrong) console.log(`WRONG   ${name}`);
  for (const { name, ratio } of slower) console.log(`SLOWER  ${name}: takes ${(1 / ratio).toFixed(2)} times as long`);
  if (slower.length + wrong.length > 0) process.exitCode = 1;
  else console.log(`no row takes more than ${tolerance} times as long`);
}
