/** `rcnn bench`: every kernel and the whole detector on this device, checked, timed, and held against the device's peaks. */
import { freemem } from 'node:os';
import type { Command } from 'commander';
import { type BenchCase, caseName } from '../bench/case.ts';
import { benchCases } from '../bench/cases/index.ts';
import { runBench, selectCases } from '../bench/run.ts';
import { BenchTable } from '../bench/table.ts';
import { UserError } from '../engine/errors.ts';
import { hasTimestamps } from '../bench/measure.ts';
import { type AdapterKind, adapterOption, assertOutputs, withExample, withGpu, writeJson } from './common.ts';

interface BenchCommand {
  filter: string;
  quick?: boolean;
  list?: boolean;
  json?: string;
  adapter: AdapterKind;
}

/** What the largest row may take of the memory: all parameters of VGG-16 with momentum and gradient fit. */
const MEMORY_BYTES = 2 * 2 ** 30;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('Check and time every kernel and the whole detector on this device.')
    .option('--filter <text>', 'only rows whose name holds this; see --list', '')
    .option('--quick', 'fewer shapes and repetitions')
    .option('--list', 'print the names of the rows and measure nothing')
    .option('--json <file>', 'also write adapter, peaks and all rows')
    .addOption(adapterOption())
    .action(bench);
  withExample(command, 'rcnn bench --quick', "rcnn bench --filter 'vgg-16 convolutions' --json bench.json");
}

async function bench({ filter, quick = false, list = false, json, adapter }: BenchCommand): Promise<void> {
  const cases = selectCases(benchCases(Math.min(MEMORY_BYTES, freemem() / 2)), filter, quick);
  if (cases.length === 0) {
    const short = quick ? ' of the short run (--quick)' : '';
    throw new UserError(`--filter ${filter}: no row${short} has this in its name; rcnn bench --list prints them`);
  }
  assertOutputs(json);
  if (list) return cases.forEach((item: BenchCase) => console.log(caseName(item)));
  await withGpu(adapter, async (gpu) => {
    const clock = hasTimestamps(gpu) ? 'timestamp queries' : 'the wall clock';
    console.log(`kernels timed by ${clock}, detections and training steps by the wall clock until the device is done`);
    const table = new BenchTable(cases);
    const report = await runBench(
      gpu,
      cases,
      quick ? { repetitions: 3, budgetMs: 500 } : { repetitions: 7, budgetMs: 2000 },
      {
        onPeaks: ({ gflops, gbps }) =>
          console.log(`peaks of this adapter: ${gflops.toFixed(1)} GFLOP/s multiply-add, ${gbps.toFixed(1)} GB/s copy`),
        onRow: (row) => table.lines(row).forEach((line) => console.log(line)),
      },
    );
    if (json !== undefined) writeJson(json, report);
    const { rows, failed } = report;
    console.log(`\n${rows.length - failed} rows right, ${failed} wrong`);
    if (failed > 0) process.exitCode = 1;
  });
}
