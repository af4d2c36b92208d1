/** Ends runs in the middle: by a kill, a full disk or a lost device. Each must still finish with the bits of an undisturbed run. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { argumentsOf, assertTidy, finish, outcome, type Run, start } from './runs.ts';

/** Where a part works, and where it reports its progress. */
export interface Drill {
  folder: string;
  log(line: string): void;
}

/** What an undisturbed run does and leaves behind. */
export interface Reference {
  bits: string;
  /** For how many seconds it kept CPUs busy. */
  seconds: number;
  /** Its calls that change files whose path contains `matching`. */
  calls: readonly string[];
  matching: string;
  /** How many submits it made to the device. */
  submits: number;
}

/** @param matching default: the run directory */
export async function leaveAlone(run: Run, { folder }: Drill, matching = path.join(folder, 'run')): Promise<Reference> {
  const [out, calls, device] = ['run', 'calls', 'device.json'].map((name) => path.join(folder, name)) as Three;
  for (const before of [out, calls]) fs.rmSync(before, { recursive: true, force: true });
  const env = { KILL_MATCHING: matching, KILL_COUNT: calls, DEVICE_LOG: device };
  const { child, ended } = start([...run, '--out', out], { preload: ['killAt', 'watchDevice'], env });
  let seconds = 0;
  const timer = setInterval(() => (seconds = Math.max(seconds, computed(child.pid!))), 20);
  const { code, output } = await ended;
  clearInterval(timer);
  if (code !== 0) throw new Error(output);
  assertTidy(out);
  const bits = await outcome(out);
  fs.rmSync(out, { recursive: true });
  const { submits } = JSON.parse(fs.readFileSync(device, 'utf8')) as { submits: number };
  return { bits, seconds, calls: fs.readFileSync(calls, 'utf8').trim().split('\n'), matching, submits };
}

type Three = [string, string, string];

async function assertSame(out: string, { bits }: Reference, what: string): Promise<void> {
  assertTidy(out);
  if ((await outcome(out)) !== bits) throw new Error(`${what}: the bits differ from those of the undisturbed run`);
  fs.rmSync(out, { recursive: true });
}

/**
 * Ends the process before each of the run's calls that change files, and in the middle of each write; returns how many there
 * were. `only` picks some of them.
 */
export async function killAtCalls(
  run: Run,
  reference: Reference,
  drill: Drill,
  only: (call: string, index: number) => boolean = () => true,
): Promise<number> {
  const { calls, matching } = reference;
  const out = path.join(drill.folder, 'run');
  let kills = 0;
  for (const [i, call] of calls.entries()) {
    if (!only(call, i)) continue;
    const env = { KILL_MATCHING: matching, KILL_AT: `${i + 1}` };
    const { code, output } = await start([...run, '--out', out], { preload: ['killAt'], env }).ended;
    if (code !== 'SIGKILL') throw new Error(`call ${i + 1} (${call}) was not reached: ${code}\n${output}`);
    await finish(run, out);
    await assertSame(out, reference, `killed at call ${i + 1}, ${call}`);
    kills++;
    drill.log(`call ${i + 1} of ${calls.length}: ${call.replace(out, 'RUN')}`);
  }
  return kills;
}

/**
 * Kills a run and its continuations at random moments, again and again, each after at most as much computing as the whole run
 * takes. A run that reaches its end is compared, and the next one begins. Returns how many were compared.
 */
export async function killAtRandom(run: Run, reference: Reference, drill: Drill, kills: number): Promise<number> {
  const out = path.join(drill.folder, 'run');
  let compared = 0;
  for (let done = 0; done < kills;) {
    const { child, ended } = start(argumentsOf(run, out));
    const moment = Math.random() * reference.seconds;
    const timer = setInterval(() => computed(child.pid!) >= moment && child.kill('SIGKILL'), 5);
    const { code, output } = await ended;
    clearInterval(timer);
    if (code === 'SIGKILL') drill.log(`kill ${++done} of ${kills}, after ${moment.toFixed(2)} s of computing`);
    else if (code !== 0) throw new Error(`it did not continue after kill ${done} (${code}):\n${output}`);
    if (code === 'SIGKILL' && done < kills) continue;
    await finish(run, out);
    await assertSame(out, reference, `after kill ${done}`);
    compared++;
  }
  return compared;
}

/** Seconds for which a process has kept CPUs busy, to hundredths: unlike wall time this does not depend on other load. */
function computed(pid: number): number {
  try {
    const fields = fs
      .readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100; // user and system
  } catch {
    return 0; // it has just ended
  }
}

/** Runs on a file system that has no room for the first checkpoint, then makes room. False if none can be mounted here. */
export async function fillDisk(run: Run, reference: Reference, { folder }: Drill): Promise<boolean> {
  const disk = path.join(folder, 'disk');
  fs.mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return false;
  }
  try {
    const out = path.join(disk, 'run');
    const filler = path.join(disk, 'filler');
    fs.writeFileSync(filler, Buffer.alloc(16e6)); // leaves room for all but a checkpoint
    const { code, output } = await start([...run, '--out', out]).ended;
    const last = output.trim().split('\n').at(-1)!;
    if (code !== 1 || !/: could not be written, the disk is full; free some space and /.test(last))
      throw new Error(`a full disk (${code}):\n${output}`);
    fs.rmSync(filler);
    await finish(run, out);
    await assertSame(out, reference, 'a full disk');
    return true;
  } finally {
    execFileSync('umount', [disk]);
  }
}

/** What the command says when its device is lost. */
const LOST =
  /^rcnn \w+: the GPU device was lost \([^\n]*(; (the checkpoint of step \d+ is whole|there is no checkpoint of these steps yet), continue with: rcnn (pre)?train --resume --out [^\n]*|; run the command again[^\n]*)\n$/;

/** Takes the device away `times` times, spread over the run; returns what the command said each time. */
export async function loseDevice(run: Run, reference: Reference, drill: Drill, times: number): Promise<string[]> {
  const { submits } = reference;
  const out = path.join(drill.folder, 'run');
  const said: string[] = [];
  for (let i = 0; i < times; i++) {
    const at = Math.ceil(((i + 0.5) * submits) / times);
    const env = { LOSE_AT: `${at}` };
    const { code, output } = await start([...run, '--out', out], { preload: ['watchDevice'], env }).ended;
    const error = output.slice(output.lastIndexOf('rcnn ' + run[0] + ':'));
    if (code !== 1 || !LOST.test(error))
      throw new Error(`the device lost at submit ${at} of ${submits} (${code}):\n${output}`);
    await finish(run, out);
    await assertSame(out, reference, `the device lost at submit ${at}`);
    said.push(error.trim());
    drill.log(`device lost at submit ${at} of ${submits}: ${error.trim()}`);
  }
  return said;
}
