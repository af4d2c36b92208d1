/** The runs that the drill disturbs, as processes of the command itself, and the bits that they leave. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { METRICS_LINE, readLines } from '../../src/run/storage/lines.ts';

/** The preset demo, reduced until a step takes some 20 ms on a CPU. */
export const TINY = [
  'detector.input.shorterSide=80',
  'detector.anchors.sizes=[16,32]',
  'detector.anchors.ratios=[1]',
  'detector.rpn.channels=16',
  'detector.rpn.batch=32',
  'detector.rpn.train.preNms=100',
  'detector.rpn.train.postNms=32',
  'detector.rpn.test.preNms=100',
  'detector.rpn.test.postNms=16',
  'detector.head.pooled=3',
  'detector.head.batch=16',
].flatMap((setting) => ['--set', setting]);

export const tinyTraining = (steps: number): string[] => [
  ...['train', '--preset', 'demo', ...TINY, '--seed', '5'],
  ...['--steps', `${steps}`],
];

/** Arguments of the command without --out. */
export type Run = readonly string[];

/** One run of every kind, with several checkpoints. `folder` gets the training data; `steps`, of each stage, is a multiple of 6. */
export async function everyKind(folder: string, steps: number): Promise<Readonly<Record<string, Run>>> {
  const often = ['--checkpoint-every', `${steps / 3}`];
  const kept = ['--save-every', `${steps / 6}`, '--keep', '2'];
  const validated = ['--validate', 'test', '--validate-every', `${steps / 2}`, '--validate-images', '2'];
  const classes = path.join(folder, 'classes');
  for (const [name, background] of Object.entries({ red: '#d21', blue: '#12d' })) {
    await writePictures(path.join(classes, name), 4, () => ({ width: 32, height: 32, background }));
  }
  const size = ['--size', '28', '--batch', '2', '--steps', `${steps}`, '--seed', '5'];
  return {
    'training with validation': [...tinyTraining(steps), ...often, ...kept, ...validated],
    'alternating training, four stages': [...tinyTraining(steps), ...often, '--schedule', 'alternating'],
    'pre-training': ['pretrain', '--data', `folder:${classes}`, ...size, ...often],
  };
}

export async function writePictures(
  folder: string,
  count: number,
  picture: (index: number) => { width: number; height: number; background: string },
): Promise<void> {
  fs.mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    await sharp({ create: { ...picture(i), channels: 3 } }).toFile(path.join(folder, `${i}.png`));
  }
}

export interface Ended {
  code: number | NodeJS.Signals | null;
  output: string;
}

/** A module that is loaded into the process before the command. */
export type Preload = 'killAt' | 'watchDevice';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Starts the command from its sources. */
export function start(
  args: readonly string[],
  { preload = [], env = {} }: { preload?: readonly Preload[]; env?: Record<string, string> } = {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const modules = [import.meta.resolve('tsx'), ...preload.map((name) => here(`${name}.ts`))];
  const imports = modules.flatMap((module) => ['--import', module]);
  const child = spawn(process.execPath, [...imports, here('../../src/cli/rcnn.ts'), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const ended = new Promise<Ended>((resolve) =>
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output })),
  );
  return { child, ended };
}

/** The arguments that begin a run, or continue a killed one; a run killed before it wrote its configuration begins again. */
export const argumentsOf = (run: Run, out: string): string[] =>
  fs.existsSync(path.join(out, 'config.json')) ? [run[0]!, '--resume', '--out', out] : [...run, '--out', out];

/** Runs it to its end from wherever it stopped, and expects that no temporary file is left behind. */
export async function finish(run: Run, out: string): Promise<void> {
  const { code, output } = await start(argumentsOf(run, out)).ended;
  if (code !== 0) throw new Error(`${out} did not continue (${code}):\n${output}`);
  assertTidy(out);
}

export function assertTidy(out: string): void {
  const left = fs.readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tmp$|\.lock/.test(name));
  if (left.length > 0) throw new Error(`${out}: ${left.join(', ')} were left behind`);
}

/** A hash of the bits of every tensor in a run directory, and of its losses. */
export async function outcome(out: string): Promise<string> {
  const hash = createHash('sha256');
  const names = fs.readdirSync(out, { recursive: true, encoding: 'utf8' }).sort();
  for (const name of names.filter((name) => name.endsWith('.safetensors'))) {
    const { tensors } = await loadSafetensors(path.join(out, name));
    for (const [tensor, { data }] of Object.entries(tensors)) hash.update(name + tensor).update(data);
  }
  for (const name of names.filter((name) => name.endsWith('metrics.jsonl'))) {
    const lines = readLines<{ seconds: number; data_seconds: number }>(path.join(out, name), METRICS_LINE);
    for (const { seconds: _, data_seconds: __, ...line } of lines) hash.update(JSON.stringify(line));
  }
  return hash.digest('hex');
}
