/**
 * `npm run drill:distributed`: a training by several processes must end with the bits of a training by one, on every MPI that is
 * installed, for any number of processes, and after processes were killed and the run went on with another number.
 *
 *   npm run drill:distributed                                        runs of 40 updates of 8 images, 1 to 8 processes
 *   npm run drill:distributed -- --small                             a minute's worth of it
 *   npm run drill:distributed -- --processes 2,3 --launchers mpich --schedules joint-warp --kills 2
 */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { assertTidy, type Ended, outcome, TINY } from './runs.ts';

/** How each MPI starts processes on fewer cores than there are processes, as root too. */
const LAUNCHERS: Readonly<Record<string, readonly string[]>> = {
  openmpi: ['mpirun.openmpi', '--oversubscribe', '--bind-to', 'none', '-n'],
  mpich: ['mpirun.mpich', '-n'],
};
/** Eight processes on two busy cores may each be silent for longer than one on a core of its own. */
const PATIENCE_S = '240';
const ROOT = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };

const options = new Command('npm run drill:distributed --')
  .option('--small', 'few processes and tiny runs')
  .option('--launchers <names>', `of ${Object.keys(LAUNCHERS).join(', ')}; default: those that are installed`)
  .option('--processes <counts>', 'numbers of processes')
  .option('--schedules <names>', 'schedules of training', 'joint')
  .option('--updates <n>', 'updates of a run', Number)
  .option('--images <n>', 'images of an update', Number)
  .option(
    '--kills <n>',
    'runs that are killed at a random moment, at a random rank, and go on with another number',
    Number,
  )
  .option('--train <args>', 'arguments of rcnn train in place of the digits, separated by blanks')
  .parse()
  .opts<{
    small?: boolean;
    launchers?: string;
    processes?: string;
    schedules: string;
    updates?: number;
    images?: number;
    kills?: number;
    train?: string;
  }>();

const { small = false } = options;
const updates = options.updates ?? (small ? 4 : 40);
const images = options.images ?? (small ? 3 : 8);
const kills = options.kills ?? (small ? 1 : 10);
const counts = (options.processes ?? (small ? '3' : '1,2,3,4,8')).split(',').map(Number);

const isInstalled = (name: string): boolean => spawnSync(LAUNCHERS[name]![0]!, ['--version']).status === 0;
const launchers = options.launchers?.split(',') ?? Object.keys(LAUNCHERS).filter(isInstalled);
if (launchers.length === 0) {
  console.log('skipped: neither mpirun.openmpi nor mpirun.mpich is installed');
  process.exit(0);
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-distributed-'));
process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
const out = path.join(folder, 'run');
const command = fileURLToPath(new URL('../../src/cli/rcnn.ts', import.meta.url));

/** Starts the command by itself, or as `processes` processes of a launcher. `heard` gets what it prints. */
function start(
  args: readonly string[],
  launcher?: string,
  processes = 1,
  heard?: (text: string) => void,
): Promise<Ended> {
  const own = [process.execPath, '--import', import.meta.resolve('tsx'), command, ...args];
  const [program, ...rest] = launcher
    ? [...LAUNCHERS[launcher]!, `${processes}`, ...own, '--distributed', '--patience', PATIENCE_S]
    : own;
  const child = spawn(program!, rest, { env: { ...process.env, ...ROOT }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      heard?.(output);
    });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code: code ?? signal, output })));
}

async function ended(what: string, run: Promise<Ended>): Promise<void> {
  const { code, output } = await run;
  if (code !== 0) throw new Error(`${what} (${code}):\n${output}`);
}

const row = (...cells: (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);
row('schedule', 'MPI', 'processes', 'outcome', 'seconds');
row('---', '---', '---', '---', '---');

for (const schedule of options.schedules.split(',')) {
  const per = ['training.imagesPerStep', 'training.stages.rpn.imagesPerStep', 'training.stages.detector.imagesPerStep'];
  const staged = schedule === 'alternating' || schedule === 'unshared';
  const run = [
    ...(options.train?.split(' ') ?? ['train', '--preset', 'digits', '--seed', '5', ...(small ? TINY : [])]),
    ...['--schedule', schedule, '--steps', `${updates}`, '--checkpoint-every', `${Math.ceil(updates / 3)}`],
    ...(staged ? per.slice(1) : per.slice(0, 1)).flatMap((setting) => ['--set', `${setting}=${images}`]),
  ];
  const timed = async (work: () => Promise<void>): Promise<number> => {
    const from = performance.now();
    await work();
    return Math.round((performance.now() - from) / 100) / 10;
  };
  const alone = await timed(() => ended('one process', start([...run, '--out', out])));
  const reference = await outcome(out);
  row(schedule, 'none', 1, reference.slice(0, 16), alone);

  const compared = async (what: string): Promise<void> => {
    assertTidy(out);
    const bits = await outcome(out);
    if (bits !== reference) throw new Error(`${what}: ${bits.slice(0, 16)}, not ${reference.slice(0, 16)}`);
    fs.rmSync(out, { recursive: true });
  };
  fs.rmSync(out, { recursive: true });

  for (const launcher of launchers) {
    for (const count of counts) {
      const what = `${schedule}, ${count} processes on ${launcher}`;
      const seconds = await timed(() => ended(what, start([...run, '--out', out], launcher, count)));
      await compared(what);
      row(schedule, launcher, count, 'same bits', seconds);
    }
  }

  for (let kill = 0; kill < kills; kill++) {
    const several = counts.filter((count) => count > 1);
    const at = Math.random();
    let killed = '';
    for (let attempt = 0; ; attempt++) {
      const launcher = launchers[(kill + attempt) % launchers.length]!;
      const count = attempt === 0 ? several[kill % several.length]! : pick([1, ...several]);
      const rank = Math.floor(Math.random() * count);
      const begun = fs.existsSync(path.join(out, 'config.json'));
      const args = begun ? ['train', '--resume', '--out', out] : [...run, '--out', out];
      if (attempt > 0) {
        const what = `${schedule}: ${killed}, then ${count} on ${launcher}`;
        await ended(what, start(args, launcher, count));
        await compared(what);
        row(schedule, launcher, count, `same bits after ${killed}`, '');
        break;
      }
      // Half of the moments are between the first step and the end, the others anywhere.
      let timer: NodeJS.Timeout | undefined;
      const { code } = await start(args, launcher, count, (output) => {
        const pid = new RegExp(`\\b${rank} on \\S+ \\(process (\\d+)\\)`).exec(output)?.[1];
        if (!pid || timer || (kill % 2 === 0 && !/^\S*compiling shaders/m.test(output))) return;
        timer = setTimeout(() => process.kill(Number(pid), 'SIGKILL'), at * alone * 1000);
      });
      clearTimeout(timer);
      killed = code === 0 ? 'its end' : `rank ${rank} of ${count} on ${launcher} was killed`;
    }
  }
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)]!;
}
