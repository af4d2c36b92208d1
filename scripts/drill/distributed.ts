/**
 * `npm run drill:distributed`: a training by several processes must end with the bits of a training by one, on every MPI that is
 * installed, for any number of processes, and after processes were killed and the run went on with another number.
 *
 *   npm run drill:distributed                                        runs of 40 updates of 8 images, 1 to 8 processes
 *   npm run drill:distributed -- --small                             a minute's worth of it
 *   npm run drill:distributed -- --processes 2,3 --launchers mpich --schedules joint-warp --kills 2
 *   npm run drill:distributed -- --two-hosts                         one process each on two hosts, the second in a network namespace (as root)
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Command } from 'commander';
import { isInstalled, launch, LAUNCHERS } from './launchers.ts';
import { mixDevices } from './mixedDevices.ts';
import { assertTidy, type Ended, outcome, TINY } from './runs.ts';
import { addHost } from './twoHosts.ts';

const options = new Command('npm run drill:distributed --')
  .option('--small', 'few processes and tiny runs')
  .option('--launchers <names>', `of ${Object.keys(LAUNCHERS).join(', ')}; default: those that are installed`)
  .option('--processes <counts>', 'numbers of processes')
  .option('--schedules <names>', 'schedules of training', 'joint')
  .option('--updates <n>', 'updates of a run', Number)
  .option('--images <n>', 'images of an update', Number)
  .option(
    '--kills <n>',
    'runs that are killed at a random moment, in a random process, and go on with another number',
    Number,
  )
  .option('--two-hosts', 'on this machine and a second host in a network namespace, which talk over TCP; as root')
  .option('--no-mixed', 'without the runs on devices of two kinds')
  .option('--train <args>', 'arguments of rcnn train in place of the digits, separated by blanks')
  .option('--set <settings...>', 'further settings of the runs, such as training.clipNorm=2')
  .parse()
  .opts<{
    small?: boolean;
    launchers?: string;
    processes?: string;
    schedules: string;
    updates?: number;
    images?: number;
    kills?: number;
    twoHosts?: boolean;
    mixed: boolean;
    train?: string;
    set?: string[];
  }>();

const { small = false } = options;
const updates = options.updates ?? (small ? 24 : 40);
const images = options.images ?? (small ? 3 : 8);
const kills = options.kills ?? (small ? 1 : 10);
const counts = (options.processes ?? (options.twoHosts ? '2' : small ? '3' : '1,2,3,4,8')).split(',').map(Number);

const launchers = options.launchers?.split(',') ?? Object.keys(LAUNCHERS).filter(isInstalled);
if (launchers.length === 0) {
  console.log('skipped: neither mpirun.openmpi nor mpirun.mpich is installed');
  process.exit(0);
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-distributed-'));
process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
const out = path.join(folder, 'run');

const hosts = options.twoHosts ? addHost(folder) : undefined;
if (hosts === null) {
  console.error(
    'npm run drill:distributed: --two-hosts: no network namespace can be made here; run it as root on Linux',
  );
  process.exit(1);
}
process.once('exit', () => hosts?.remove());
async function ended(what: string, run: Promise<Ended>): Promise<void> {
  const { code, output } = await run;
  if (code !== 0) throw new Error(`${what} (${code}):\n${output}`);
}

const row = (...cells: (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);
row('schedule', 'MPI', 'processes', 'outcome', 'seconds');
row('---', '---', '---', '---', '---');

if (options.mixed && !hosts) {
  for (const launcher of launchers) {
    await mixDevices(launcher, folder);
    row('joint', launcher, 2, 'lavapipe and SwiftShader at once: refused, allowed if asked for', '');
  }
}

for (const schedule of options.schedules.split(',')) {
  const per = ['training.imagesPerStep', 'training.stages.rpn.imagesPerStep', 'training.stages.detector.imagesPerStep'];
  const staged = schedule === 'alternating' || schedule === 'unshared';
  const run = [
    ...(options.train?.split(/\s+/) ?? ['train', '--preset', 'digits', '--seed', '5', ...(small ? TINY : [])]),
    ...['--schedule', schedule, '--steps', `${updates}`, '--checkpoint-every', `${Math.ceil(updates / 3)}`],
    ...(staged ? per.slice(1) : per.slice(0, 1)).flatMap((setting) => ['--set', `${setting}=${images}`]),
    ...(options.set ?? []).flatMap((setting) => ['--set', setting]),
  ];
  const timed = async (work: () => Promise<void>): Promise<number> => {
    const from = performance.now();
    await work();
    return Math.round((performance.now() - from) / 100) / 10;
  };
  const alone = await timed(() => ended('one process', launch([...run, '--out', out])));
  const reference = await outcome(out);
  const { lines } = logged();
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
      const groups = [{ processes: count }];
      const before = hosts?.sent() ?? 0;
      const seconds = await timed(() => ended(what, launch([...run, '--out', out], launcher, { groups, hosts })));
      await compared(what);
      const sent = hosts ? `; ${((hosts.sent() - before) / 1e6).toFixed(1)} MB sent to the second host` : '';
      row(schedule, launcher, count, `same bits${sent}`, seconds);
    }
  }

  const several = counts.filter((count) => count > 1);
  for (let kill = 0; kill < kills && several.length > 0; kill++) {
    const launcher = launchers[kill % launchers.length]!;
    const killed = await killOne(run, launcher, several[kill % several.length]!, lines);
    const [other, count] = [pick(launchers), pick([1, ...several].filter((count) => count !== killed.count))];
    const begun = fs.existsSync(path.join(out, 'config.json'));
    const args = begun ? ['train', '--resume', '--out', out] : [...run, '--out', out];
    const what = `rank ${killed.rank} of ${killed.count} on ${launcher} was killed after step ${killed.step}`;
    await ended(
      `${schedule}: ${what}, then ${count} on ${other}`,
      launch(args, other, { groups: [{ processes: count }], hosts }),
    );
    await compared(`${schedule}: ${what}, then ${count} on ${other}`);
    row(schedule, other, count, `same bits; before, ${what}`, '');
  }
}

/** What the run has logged: the lines of all its stages, and the step of the newest. */
function logged(): { lines: number; step: string } {
  const files = fs.existsSync(out)
    ? fs.readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('metrics.jsonl'))
    : [];
  const texts = files
    .sort()
    .map((name) => [path.dirname(name), fs.readFileSync(path.join(out, name), 'utf8')] as const);
  const last = texts.at(-1);
  const step = /.*"step":(\d+).*\n$/.exec(last?.[1] ?? '')?.[1] ?? '0';
  return {
    lines: texts.reduce((sum, [, text]) => sum + text.split('\n').length - 1, 0),
    step: last && last[0] !== '.' ? `${step} of ${last[0]}` : step,
  };
}

/**
 * Begins the run, and kills a process of it between two lines of its log, of which an undisturbed run writes `lines`: after some
 * line, and then a share of the time that the line took. A run that ended before that is repeated.
 */
async function killOne(
  run: readonly string[],
  launcher: string,
  count: number,
  lines: number,
): Promise<{ rank: number; count: number; step: string }> {
  for (;;) {
    const rank = Math.floor(Math.random() * count);
    const [after, share] = [Math.floor(Math.random() * lines), Math.random()];
    const began: number[] = []; // when each line was seen
    let output = '';
    let step: string | null = null;
    const timer = setInterval(() => {
      const pid = new RegExp(`\\b${rank} on \\S+ \\(process (\\d+)\\)`).exec(output)?.[1];
      if (step !== null || !pid || !/compiling shaders/.test(output)) return;
      const now = performance.now();
      const seen = logged();
      while (began.length <= seen.lines) began.push(now);
      const took = after === 0 ? 500 : began[after]! - began[after - 1]!;
      if (seen.lines < after || now - began[after]! < share * took) return;
      step = seen.step;
      process.kill(Number(pid), 'SIGKILL');
    }, 5);
    const groups = [{ processes: count }];
    const heard = (text: string): void => void (output = text);
    const { code } = await launch([...run, '--out', out], launcher, { groups, hosts, heard });
    clearInterval(timer);
    if (step !== null && code !== 0) return { rank, count, step };
    fs.rmSync(out, { recursive: true, force: true });
  }
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)]!;
}
