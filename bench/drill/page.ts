/** The page of a drill in Markdown, made from what is known so far. */
import { farthest } from '../../src/bench/profile.ts';
import type { BenchReport, BenchRow } from '../../src/bench/report.ts';
import type { Outcome } from './parts.ts';

export interface DrillReport {
  date: string;
  pack: { version: string; commit: string; node: string; dawn: string };
  form: 'full' | 'quick' | 'tiny';
  machine: { os: string; cpu: string; memory_gb: number; nvidia_smi: string };
  device: { adapter: string | null; software: boolean; tried: string[]; note: string | null };
  parts: Outcome[];
  /** False until every part has had its turn. */
  ended: boolean;
}

interface InfoResult {
  passed: number;
  failed: number;
  kernels: { name: string; passed: boolean; problems: string[] }[];
}

/** What torch_rows.py writes: milliseconds by mode, or the reason why there are none. */
export interface TorchResult {
  available: boolean;
  note: string;
  device?: string;
  rows?: { name: string; ms: Record<string, number | string> }[];
}

const MODES = ['strict', 'tf32', 'deterministic'] as const;

export function drillPage(report: DrillReport): string {
  const { pack, device, machine, parts } = report;
  const result = <T>(name: string): T | null => (parts.find((part) => part.name === name)?.result ?? null) as T | null;
  const torch = result<TorchResult>('torch');
  const lines = [
    '# GPU drill',
    '',
    `webgpu-rcnn ${pack.version} (${pack.commit}), Node ${pack.node}, Dawn ${pack.dawn}; ${report.date}; form: ${report.form}.`,
    '',
    device.adapter === null
      ? `**No device**: ${device.note ?? 'looked for now'}.`
      : device.software
        ? `**No GPU** (${device.note}): measured on the CPU with ${device.adapter}.`
        : `Device: **${device.adapter}**.`,
    '',
    `${machine.os}; ${machine.cpu}; ${machine.memory_gb} GB.`,
    '',
    ...device.tried.map((line) => `- ${line}`),
    '',
    '```',
    machine.nvidia_smi.trimEnd(),
    '```',
    '',
    '## What was measured',
    '',
    ...table(
      ['part', 'state', 's', 'why'],
      parts.map(({ name, state, seconds, why }) => [name, state, seconds.toFixed(0), why ?? '']),
    ),
    '',
    ...(report.ended
      ? []
      : ['The drill is still running or was ended early: what is missing below was not measured.', '']),
    ...info(result<InfoResult>('info')),
    ...bench('Benchmark', result<BenchReport>('bench'), torch),
    ...torchLines(torch),
    ...profile(result<BenchReport>('profile')),
    ...demo(result('demo')),
    ...bits(result('bits')),
    ...tuner(result<BenchReport>('tune')),
  ];
  return lines.join('\n').trimEnd() + '\n';
}

const cell = (text: string): string => text.replace(/\s+/g, ' ').replaceAll('|', '\\|');

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return rows.length === 0
    ? []
    : [line(heading), line(heading.map((_, i) => (i < 2 ? '---' : '--:'))), ...rows.map(line)];
}

const ms = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 3);
const percent = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : `${(100 * value).toFixed(0)} %`;
const nameOf = ({ group, op, shape }: BenchRow): string => `${group}: ${op} ${shape}`;

function info(result: InfoResult | null): string[] {
  if (!result) return [];
  const wrong = result.kernels.filter(({ passed }) => !passed);
  return [
    '## Kernels',
    '',
    `${result.passed} right, ${result.failed} wrong.`,
    '',
    ...wrong.flatMap(({ name, problems }) => [
      `- **${name}**`,
      ...problems.slice(0, 3).map((text) => `  - ${cell(text)}`),
    ]),
    ...(wrong.length > 0 ? [''] : []),
  ];
}

const torchTime = (torch: TorchResult | null, name: string, mode: string): number | null => {
  const time = torch?.rows?.find((row) => row.name === name)?.ms[mode];
  return typeof time === 'number' ? time : null;
};

function bench(title: string, result: BenchReport | null, torch: TorchResult | null): string[] {
  if (!result) return [];
  const { peaks, rows, failed, complete, skipped = [] } = result;
  const body = rows.map((row) => {
    const strict = torchTime(torch, nameOf(row), 'strict');
    return [
      nameOf(row),
      row.valid ? ms(row.best_ms) : `WRONG: ${row.problems[0] ?? ''}`,
      row.gflops ? `${row.gflops.toFixed(0)} GFLOP/s` : row.gbps ? `${row.gbps.toFixed(1)} GB/s` : '',
      percent(row.share_of_peak),
      row.bound ? `${percent(row.share_of_bound)} ${row.bound}` : '',
      ms(strict),
      strict !== null && row.best_ms !== null ? percent(strict / row.best_ms) : '',
    ];
  });
  return [
    `## ${title}`,
    '',
    `Peaks: ${peaks.gflops.toFixed(0)} GFLOP/s multiply-add, ${peaks.gbps.toFixed(1)} GB/s copy. ${rows.length} rows, ${failed} wrong${complete ? '' : '; cut off'}. Best times; the last column is PyTorch's time over ours.`,
    '',
    ...table(['row', 'ms', 'rate', 'of peak', 'of bound', 'PyTorch f32 ms', 'of its speed'], body),
    '',
    ...(skipped.length > 0
      ? [`Left out, as this device has no half precision (WebGPU's feature shader-f16): ${skipped.join('; ')}.`, '']
      : []),
  ];
}

function torchLines(torch: TorchResult | null): string[] {
  if (!torch) return [];
  const rows = (torch.rows ?? []).map(({ name, ms: times }) => [
    name,
    ...MODES.map((mode) => {
      const time = times[mode];
      return typeof time === 'string' ? time : ms(time);
    }),
  ]);
  return [
    '## PyTorch',
    '',
    torch.available
      ? `${torch.note}; on ${torch.device ?? 'an unknown device'}. Milliseconds.`
      : `Not measured: ${torch.note}.`,
    '',
    ...table(['row', ...MODES], rows),
    ...(rows.length > 0 ? [''] : []),
  ];
}

function profile(result: BenchReport | null): string[] {
  if (!result) return [];
  const rows = result.rows.filter((row) => row.profile !== undefined);
  return [
    '## Profile',
    '',
    ...rows.flatMap((row) => {
      if (!row.profile) return [`${nameOf(row)}: this adapter has no timestamp queries.`, ''];
      const { record_ms, wall_ms, busy_ms, gaps_ms, dispatches, kernels } = row.profile;
      const lines = (list: typeof kernels) =>
        table(
          ['kernel', 'dispatches', 'ms', 'of busy', 'bound ms', 'of bound'],
          list.map((kernel) => [
            kernel.name,
            `${kernel.dispatches}`,
            ms(kernel.milliseconds),
            percent(kernel.milliseconds / busy_ms),
            ms(kernel.bound_ms),
            percent(kernel.bound_ms / kernel.milliseconds),
          ]),
        );
      return [
        `### ${nameOf(row)}`,
        '',
        `${dispatches} dispatches; recorded in ${ms(record_ms)} ms, done after ${ms(wall_ms)} ms; with a pass for each dispatch busy ${ms(busy_ms)} ms, gaps ${ms(gaps_ms)} ms.`,
        '',
        ...lines(kernels.slice(0, 15)),
        '',
        'The ten farthest from their roofline, by the time above it:',
        '',
        ...lines(farthest(kernels, 10)),
        '',
      ];
    }),
  ];
}

function demo(
  result: {
    training: { step: number; loss: number; seconds: number } | null;
    evaluation: { mAP: number; images: number } | null;
  } | null,
): string[] {
  if (!result?.training) return [];
  const { step, loss, seconds } = result.training;
  const mAP = result.evaluation && `; mAP ${result.evaluation.mAP.toFixed(4)} on ${result.evaluation.images} scenes`;
  return [
    '## Demo',
    '',
    `${step} steps in ${seconds.toFixed(1)} s, loss ${loss.toFixed(4)}${mAP ?? '; not evaluated'}.`,
    '',
  ];
}

function bits(result: { steps: number; hashes: (string | null)[] } | null): string[] {
  const [first, second] = result?.hashes ?? [];
  if (!first || !second) return [];
  const verdict = first === second ? 'the same bits' : '**different bits**';
  return [
    '## Same bits',
    '',
    `Twice ${result!.steps} steps: ${verdict} (${first.slice(0, 16)}, ${second.slice(0, 16)}).`,
    '',
  ];
}

function tuner(result: BenchReport | null): string[] {
  if (!result) return [];
  const tuned = result.rows.filter((row) => row.tuned_ms && row.best_ms !== null);
  const rows = tuned.map((row) => [
    nameOf(row),
    ms(row.best_ms),
    ms(row.tuned_ms),
    (row.best_ms! / row.tuned_ms!).toFixed(2),
    ms(row.tuning_ms),
  ]);
  const took = tuned.reduce((sum, { tuning_ms }) => sum + (tuning_ms ?? 0), 0);
  return [
    '## Tuner',
    '',
    `${tuned.length} rows tuned in ${(took / 1000).toFixed(1)} s${result.complete ? '' : '; cut off'}.`,
    '',
    ...table(['row', 'planned ms', 'tuned ms', 'gain', 'tuning ms'], rows),
    '',
  ];
}
