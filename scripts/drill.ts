/**
 * The drill: runs are killed, starved of disk and watched for leaks, and must end as though nothing had happened. Its
 * figures are in docs/reliability.md. Takes minutes to hours by what is asked for:
 *
 *   npm run drill                          every call of a run, 100 random kills, a full disk, 10,000 steps, 2,000 pictures
 *   npm run drill -- --kills 10 --steps 0 --pictures 0 --only calls,kills
 */
import { Command } from 'commander';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadSafetensors } from '../src/engine/node/files.ts';
import { METRICS_LINE, readLines } from '../src/run/storage/lines.ts';

const options = new Command('npm run drill --')
  .option('--kills <n>', 'kills at random moments', Number, 100)
  .option('--steps <n>', 'steps of the run that is watched for leaks', Number, 10_000)
  .option('--pictures <n>', 'pictures of the detection that is watched for leaks', Number, 2000)
  .option('--calls <text>', 'of the calls only those for paths that contain this; default: all in the run directory')
  .option('--only <part,...>', 'calls, kills, disk, steps, pictures; default: all')
  .parse()
  .opts<{ kills: number; steps: number; pictures: number; calls?: string; only?: string }>();

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-drill-'));
process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

const small = ['--set', 'detector.input.shorterSide=80', '--set', 'detector.rpn.train.postNms=32'];
const steps = (n: number): string[] => ['--steps', `${n}`, '--checkpoint-every', '2', '--seed', '5'];
/** Runs of every kind, each of a few steps. */
const RUNS: Readonly<Record<string, string[]>> = {
  'training, with validation': [
    ...['train', '--preset', 'demo', ...small, ...steps(6)],
    ...['--validate', 'test', '--validate-every', '3', '--validate-images', '2'],
  ],
  'alternating, four stages': ['train', '--preset', 'demo', ...small, ...steps(2), '--schedule', 'alternating'],
  'pre-training': ['pretrain', '--data', 'mnist', '--batch', '4', ...steps(6)],
};

interface Ended {
  code: number | NodeJS.Signals | null;
  output: string;
}

function start(
  args: readonly string[],
  env: Record<string, string> = {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const imports = [
    '--import',
    import.meta.resolve('tsx'),
    ...('KILL_MATCHING' in env ? ['--import', here('killAt.ts')] : []),
  ];
  const child = spawn(process.execPath, [...imports, here('../src/cli/rcnn.ts'), ...args], {
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

/** The bits of every tensor that a run left, and its losses. */
async function outcome(run: string): Promise<string> {
  const hash = createHash('sha256');
  const names = fs.readdirSync(run, { recursive: true, encoding: 'utf8' }).sort();
  for (const name of names.filter((name) => name.endsWith('.safetensors'))) {
    const { tensors } = await loadSafetensors(path.join(run, name));
    for (const [tensor, { data }] of Object.entries(tensors)) hash.update(name + tensor).update(data);
  }
  for (const name of names.filter((name) => name.endsWith('metrics.jsonl'))) {
    const lines = readLines<{ seconds: number; data_seconds: number }>(path.join(run, name), METRICS_LINE);
    for (const { seconds: _, data_seconds: __, ...line } of lines) hash.update(JSON.stringify(line));
  }
  return hash.digest('hex');
}

/** Goes on with a run that was killed, to its end; one that never came to its configuration begins again. */
async function finish(args: readonly string[], run: string): Promise<void> {
  const begun = fs.existsSync(path.join(run, 'config.json'));
  const { code, output } = await start(begun ? [args[0]!, '--resume', '--out', run] : [...args, '--out', run]).ended;
  if (code !== 0) throw new Error(`${run} did not go on (${code}):\n${output}`);
  const left = fs.readdirSync(run, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tmp$|\.lock/.test(name));
  if (left.length > 0) throw new Error(`${run}: ${left.join(', ')} were left behind`);
}

const row = (...cells: (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);

/** A kill before every call that changes the file system. */
async function drillCalls(): Promise<void> {
  const [name, args] = Object.entries(RUNS)[0]!;
  const whole = path.join(folder, 'counted');
  const log = path.join(folder, 'calls');
  const reference = await start([...args, '--out', whole], { KILL_MATCHING: options.calls ?? whole, KILL_COUNT: log })
    .ended;
  if (reference.code !== 0) throw new Error(reference.output);
  const expected = await outcome(whole);
  const calls = fs.readFileSync(log, 'utf8').trim().split('\n');
  for (const [i, call] of calls.entries()) {
    const run = path.join(folder, 'killed');
    const { code, output } = await start([...args, '--out', run], {
      KILL_MATCHING: options.calls ?? run,
      KILL_AT: `${i + 1}`,
    }).ended;
    if (code !== 'SIGKILL') throw new Error(`call ${i + 1} (${call}) was not reached: ${code}\n${output}`);
    await finish(args, run);
    if ((await outcome(run)) !== expected) throw new Error(`killed at call ${i + 1}, ${call}: other bits`);
    fs.rmSync(run, { recursive: true });
    console.error(`call ${i + 1} of ${calls.length}: ${call}`);
  }
  row(`killed at each open, write, fsync and rename: ${name}`, calls.length, 'same bits each time');
}

/** Kills at moments that are spread over a run's whole time. */
async function drillKills(): Promise<void> {
  const runs = Object.entries(RUNS);
  for (const [index, [name, args]] of runs.entries()) {
    const whole = path.join(folder, `whole-${index}`);
    const began = performance.now();
    await finish(args, whole);
    const duration = performance.now() - began;
    const expected = await outcome(whole);
    const count = Math.floor((options.kills + index) / runs.length);
    let reached = 0;
    for (let kill = 0; kill < count; kill++) {
      const run = path.join(folder, 'killed');
      const { child, ended } = start([...args, '--out', run]);
      const timer = setTimeout(() => child.kill('SIGKILL'), Math.random() * duration);
      reached += Number((await ended).code === 'SIGKILL');
      clearTimeout(timer);
      await finish(args, run);
      if ((await outcome(run)) !== expected) throw new Error(`${name}: other bits after kill ${kill + 1}`);
      fs.rmSync(run, { recursive: true });
      console.error(`${name}: kill ${kill + 1} of ${count}`);
    }
    row(`killed at random: ${name}`, `${count}, of which ${reached} before its end`, 'same bits each time');
  }
}

/** A file system without room for the first checkpoint, until there is. */
async function drillDisk(): Promise<void> {
  const disk = path.join(folder, 'disk');
  fs.mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return row('a full disk', 0, 'skipped: needs the right to mount');
  }
  try {
    const [args] = Object.values(RUNS);
    const whole = path.join(folder, 'roomy');
    await finish(args!, whole);
    const run = path.join(disk, 'run');
    const filler = path.join(disk, 'filler');
    fs.writeFileSync(filler, Buffer.alloc(16.2e6));
    const { code, output } = await start([...args!, '--out', run]).ended;
    const last = output.trim().split('\n').at(-1)!;
    if (code !== 1 || !/: could not be written, the disk is full; free some space and /.test(last))
      throw new Error(output);
    fs.rmSync(filler);
    await finish(args!, run);
    if ((await outcome(run)) !== (await outcome(whole))) throw new Error('a full disk: other bits');
    row('a full disk, then room again', 1, 'one line and exit code 1, then the same bits');
  } finally {
    execFileSync('umount', [disk]);
  }
}

interface Sample {
  megabytes: number;
  descriptors: number;
}

/** Runs a command and looks at its memory and descriptors now and then; the first third warms up. */
async function watch(args: readonly string[]): Promise<{ early: Sample; late: Sample }> {
  const { child, ended } = start(args);
  const samples: Sample[] = [];
  const timer = setInterval(() => {
    try {
      const status = fs.readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const descriptors = fs.readdirSync(`/proc/${child.pid}/fd`).length;
      samples.push({ megabytes: Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024, descriptors });
    } catch {
      // it has just ended
    }
  }, 500);
  const { code, output } = await ended;
  clearInterval(timer);
  if (code !== 0) throw new Error(output);
  const third = Math.floor(samples.length / 3);
  const most = (part: Sample[]): Sample => ({
    megabytes: part.reduce((largest, { megabytes }) => Math.max(largest, megabytes), 0),
    descriptors: part.reduce((largest, { descriptors }) => Math.max(largest, descriptors), 0),
  });
  return { early: most(samples.slice(third, 2 * third)), late: most(samples.slice(2 * third)) };
}

const watched = ({ early, late }: { early: Sample; late: Sample }): string =>
  `${early.megabytes.toFixed(0)} MB and ${early.descriptors} descriptors at most in the second third, ${late.megabytes.toFixed(0)} MB and ${late.descriptors} in the last`;

async function drillSteps(): Promise<void> {
  const args = [
    'train',
    '--preset',
    'demo',
    ...small,
    '--steps',
    `${options.steps}`,
    '--out',
    path.join(folder, 'long'),
  ];
  row('steps in one process', options.steps, watched(await watch(args)));
}

async function drillPictures(): Promise<void> {
  const model = path.join(folder, 'model');
  await finish(['train', '--preset', 'demo', ...small, '--steps', '2'], model);
  const pictures = path.join(folder, 'pictures');
  fs.mkdirSync(pictures);
  const { default: sharp } = await import('sharp');
  const picture = await sharp({ create: { width: 160, height: 120, channels: 3, background: '#678' } })
    .png()
    .toBuffer();
  for (let i = 0; i < options.pictures; i++) fs.writeFileSync(path.join(pictures, `${i}.png`), picture);
  const out = path.join(folder, 'detections');
  row(
    'pictures through `rcnn detect`',
    options.pictures,
    watched(await watch(['detect', '--model', model, pictures, '--out', out])),
  );
}

const PARTS = { calls: drillCalls, kills: drillKills, disk: drillDisk, steps: drillSteps, pictures: drillPictures };
const chosen = options.only?.split(',') ?? Object.keys(PARTS);
row('what', 'how often', 'outcome');
row('---', '---', '---');
for (const [name, part] of Object.entries(PARTS)) if (chosen.includes(name)) await part();
