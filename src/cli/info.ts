/** `rcnn info`: the device, its limits and features, and whether every kernel is correct on it. */
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { reportedLimits } from '../engine/limits.ts';
import { openGpu } from '../engine/node/open.ts';
import { type CheckOutcome, kernelChecks, runKernelCheck } from '../bench/kernelChecks.ts';
import { type AdapterKind, adapterOption, describeAdapter, writeJson } from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';

interface InfoCommand {
  adapter: AdapterKind;
  filter?: string;
  json?: string;
}

/** The file is written every so many checks, so that a run that is cut off leaves its results so far. */
const WRITTEN_AFTER = 10;

export function addInfo(program: Command): void {
  const command = program
    .command('info')
    .description('Show the device, and check every kernel on it against its float64 reference.')
    .option('--filter <text>', 'only checks whose name contains this')
    .option('--json <file>', 'also write the results, updated every few kernels')
    .addOption(adapterOption())
    .action(info);
  withExample(command, 'rcnn info', 'rcnn info --adapter software --json info.json');
}

async function info({ adapter, filter = '', json }: InfoCommand): Promise<void> {
  assertOutputs([json]);
  let gpu = await openGpu({ adapter });
  try {
    const limits = reportedLimits(gpu.device);
    const features = [...gpu.device.features].sort();
    console.log(describeAdapter(gpu, adapter));
    console.log(`node ${process.version}, ${process.platform}-${process.arch}`);
    for (const [name, value] of Object.entries(limits)) console.log(`  ${name.padEnd(34)} ${value}`);
    console.log(`  features                           ${features.join(', ') || 'none'}`);
    const { description, software, subgroupSize } = gpu.adapter;
    const outcomes: CheckOutcome[] = [];
    const count = (passed: boolean): number => outcomes.filter((outcome) => outcome.passed === passed).length;
    const write = (): void => {
      const [passed, failed] = [count(true), count(false)];
      const device = { adapter: description, software, subgroupSize, limits, features };
      if (json !== undefined) writeJson(json, { ...device, passed, failed, kernels: outcomes });
    };
    for (const build of kernelChecks(gpu.plans.device, gpu.hasHalf)) {
      const check = build();
      if (!check.name.includes(filter)) continue;
      const outcome = await runKernelCheck(gpu, check);
      outcomes.push(outcome);
      console.log(describe(outcome));
      if (outcomes.length % WRITTEN_AFTER === 0) write();
      gpu = await healthy(gpu, adapter);
    }
    if (outcomes.length === 0)
      throw new UserError(`--filter ${filter}: no check has this in its name; rcnn info without it lists them all`);
    const failed = count(false);
    const seconds = outcomes.reduce((sum, { compileMs }) => sum + compileMs, 0) / 1000;
    console.log(`${count(true)} kernels passed, ${failed} failed; compiled in ${seconds.toFixed(1)} s`);
    write();
    if (failed > 0) process.exitCode = 1;
  } finally {
    gpu.close();
  }
}

const describe = ({ name, passed, largestError, problems }: CheckOutcome): string =>
  passed
    ? `ok      ${name}, largest error ${largestError.toPrecision(2)}`
    : [
        `FAILED  ${name}, largest error ${largestError.toPrecision(2)}`,
        ...problems.map((line) => `        ${line}`),
      ].join('\n');

/** A device that reported an error repeats it on every later call, so the remaining kernels get a new device. */
async function healthy(gpu: Gpu, adapter: AdapterKind): Promise<Gpu> {
  try {
    gpu.assertHealthy();
    return gpu;
  } catch {
    gpu.close();
    return openGpu({ adapter });
  }
}
