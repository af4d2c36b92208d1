/**
 * The drill: runs are killed, run out of disk, lose their device and are watched for leaks, and must still end as if nothing had
 * happened. Its figures are in docs/reliability.md. Each part takes minutes:
 *
 *   npm run drill                          all of it
 *   npm run drill -- --only kills --kills 10
 */
import { Command } from 'commander';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fillDisk, killAtCalls, killAtRandom, leaveAlone, loseDevice } from './drill/kills.ts';
import { hostileCases, runHostile } from './drill/hostile.ts';
import { manyPictures, manySteps } from './drill/leaks.ts';
import { everyKind, finish, tinyTraining } from './drill/runs.ts';

const PARTS = ['calls', 'kills', 'disk', 'device', 'steps', 'pictures', 'hostile'] as const;

const options = new Command('npm run drill --')
  .option('--kills <n>', 'kills at random moments', Number, 102)
  .option('--losses <n>', 'lost devices', Number, 12)
  .option('--steps <n>', 'steps of the run that is watched for leaks', Number, 10_000)
  .option('--pictures <n>', 'images of the detection that is watched for leaks', Number, 2000)
  .option('--calls <text>', 'only calls for paths that contain this text; default: all in the run directory')
  .option('--runs <text>', 'only the kinds of runs whose name begins with this: training, alternating, pre-training')
  .option('--only <part,...>', `${PARTS.join(', ')}; default: all`)
  .parse()
  .opts<{
    kills: number;
    losses: number;
    steps: number;
    pictures: number;
    calls?: string;
    runs?: string;
    only?: string;
  }>();

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-drill-'));
process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
const chosen: readonly string[] = options.only?.split(',') ?? PARTS;
const asked = (part: (typeof PARTS)[number]): boolean => chosen.includes(part);
const row = (...cells: (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);
const time = (): string => new Date().toISOString().slice(11, 19);

row('what', 'how often', 'outcome');
row('---', '---', '---');
/** Enough steps that starting takes less than a third of the time. */
const MANY_STEPS = 60;
/** The steps of runs that are killed at every single call of every checkpoint. */
const FEW_STEPS = 6;

const runsOf = async (steps: number) =>
  Object.entries(await everyKind(folder, steps)).filter(([name]) => name.startsWith(options.runs ?? ''));
const drillOf = (name: string) => ({ folder, log: (line: string) => console.error(`${time()} ${name}: ${line}`) });

if (asked('kills') || asked('device') || asked('disk')) {
  const runs = await runsOf(MANY_STEPS);
  for (const [index, [name, run]] of runs.entries()) {
    const drill = drillOf(name);
    const reference = await leaveAlone(run, drill);
    if (asked('kills')) {
      const kills = Math.floor((options.kills + index) / runs.length);
      const compared = await killAtRandom(run, reference, drill, kills);
      row(`killed at random: ${name}`, kills, `same bits in all ${compared} runs that came to their end`);
    }
    if (asked('device')) {
      const losses = Math.floor((options.losses + index) / runs.length);
      await loseDevice(run, reference, drill, losses);
      row(`device lost: ${name}`, losses, 'one line and exit code 1, then the same bits');
    }
    if (asked('disk')) {
      const done = await fillDisk(run, reference, { ...drill, folder: fs.mkdtempSync(path.join(folder, 'disk-')) });
      if (done) row(`a full disk, then room again: ${name}`, 1, 'one line and exit code 1, then the same bits');
      else row(`a full disk: ${name}`, 0, 'skipped: needs the right to mount');
    }
  }
}

if (asked('calls')) {
  for (const [name, run] of await runsOf(FEW_STEPS)) {
    const drill = drillOf(name);
    const reference = await leaveAlone(run, drill, options.calls);
    const calls = await killAtCalls(run, reference, drill);
    row(`killed at each open, write, fsync and rename: ${name}`, calls, 'same bits each time');
  }
}

const drill = { folder, log: (line: string) => console.error(`${time()} ${line}`) };
if (asked('steps')) row('steps in one process', options.steps, await manySteps(drill, options.steps));
if (asked('pictures'))
  row('pictures through `rcnn detect`', options.pictures, await manyPictures(drill, options.pictures));
if (asked('hostile')) {
  const root = path.join(folder, 'hostile');
  const cases = await hostileCases(root, (run) => finish(tinyTraining(2), run));
  const wrong = await runHostile(root, cases, (done) => {
    if (done % 100 === 0) drill.log(`${done} of ${cases.length} commands`);
  });
  for (const line of wrong) console.error(line);
  row('commands with hostile inputs', cases.length, wrong.length === 0 ? 'one line each' : `${wrong.length} not right`);
  if (wrong.length > 0) process.exitCode = 1;
}
