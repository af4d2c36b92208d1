/** Runs that are ended in the middle: killed, without disk, without a device. Each must end with the bits of one left alone. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { argumentsOf, assertTidy, finish, outcome, type Run, start } from './runs.ts';

/** Where a part works, and who hears how far it is. */
export interface Drill {
  folder: string;
  log(line: string): void;
}

/** What a run that nobody disturbs leaves. */
export interface Reference {
  bits: string;
  milliseconds: number;
}

export async function leaveAlone(run: Run, { folder }: Drill): Promise<Reference> {
  const out = path.join(folder, 'whole');
  fs.rmSync(out, { recursive: true, force: true });
  const began = performance.now();
  await finish(run, out);
  return { milliseconds: performance.now() - began, bits: await outcome(out) };
}

async function assertSame(out: string, { bits }: Reference, what: string): Promise<void> {
  assertTidy(out);
  if ((await outcome(out)) !== bits) throw new Error(`${what}: other bits than those of the run that was left alone`);
  fs.rmSync(out, { recursive: true });
}

/**
 * Ends the process before each of the calls that change a file whose path contains `matching`, and amid each write; returns
 * the calls. `only` says which of them, by their index.
 */
export async function killAtCalls(
  run: Run,
  reference: Reference,
  drill: Drill,
  { matching, only = () => true }: { matching?: string | undefined; only?: (index: number, calls: number) => boolean },
): Promise<number> {
  const counted = path.join(drill.folder, 'counted');
  const calls = path.join(drill.folder, 'calls');
  const out = path.join(drill.folder, 'killed');
  fs.rmSync(calls, { force: true });
  const count = { KILL_MATCHING: matching ?? counted, KILL_COUNT: calls };
  const { code, output } = await start([...run, '--out', counted], { preload: 'killAt', env: count }).ended;
  if (code !== 0) throw new Error(output);
  fs.rmSync(counted, { recursive: true });
  const all = fs.readFileSync(calls, 'utf8').trim().split('\n');
  let kills = 0;
  for (const [i, call] of all.entries()) {
    if (!only(i, all.length)) continue;
    const env = { KILL_MATCHING: matching ?? out, KILL_AT: `${i + 1}` };
    const { code, output } = await start([...run, '--out', out], { preload: 'killAt', env }).ended;
    if (code !== 'SIGKILL') throw new Error(`call ${i + 1} (${call}) was not reached: ${code}\n${output}`);
    await finish(run, out);
    await assertSame(out, reference, `killed at call ${i + 1}, ${call}`);
    kills++;
    drill.log(`call ${i + 1} of ${all.length}: ${call.replace(counted, 'RUN')}`);
  }
  return kills;
}

/**
 * Kills a run and its continuations at random moments, again and again: each time it may live for up to as long as the
 * whole run takes. What ends by itself is compared, and the next one begins. Returns how many were compared.
 */
export async function killAtRandom(run: Run, reference: Reference, drill: Drill, kills: number): Promise<number> {
  const out = path.join(drill.folder, 'killed');
  let compared = 0;
  for (let done = 0; done < kills;) {
    const { child, ended } = start(argumentsOf(run, out));
    const timer = setTimeout(() => child.kill('SIGKILL'), Math.random() * reference.milliseconds);
    const { code, output } = await ended;
    clearTimeout(timer);
    if (code === 'SIGKILL') drill.log(`kill ${++done} of ${kills}`);
    else if (code !== 0) throw new Error(`it did not go on after kill ${done} (${code}):\n${output}`);
    if (code === 'SIGKILL' && done < kills) continue;
    await finish(run, out);
    await assertSame(out, reference, `after kill ${done}`);
    compared++;
  }
  return compared;
}

/** A file system without room for the first checkpoint, until there is. False where none can be mounted here. */
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

/** Takes the device away at `times` submits, spread over the run: one line, which names the checkpoint that there is. */
export async function loseDevice(run: Run, reference: Reference, drill: Drill, times: number): Promise<void> {
  const out = path.join(drill.folder, 'lost');
  const log = path.join(drill.folder, 'device.json');
  const counting = start([...run, '--out', out], { preload: 'watchDevice', env: { DEVICE_LOG: log } });
  const { code, output } = await counting.ended;
  if (code !== 0) throw new Error(output);
  await assertSame(out, reference, 'its device watched');
  const { submits } = JSON.parse(fs.readFileSync(log, 'utf8')) as { submits: number };
  for (let i = 0; i < times; i++) {
    const at = 1 + Math.floor((i * submits) / times);
    const { code, output } = await start([...run, '--out', out], {
      preload: 'watchDevice',
      env: { LOSE_AT: `${at}` },
    }).ended;
    const error = output.slice(output.lastIndexOf('rcnn '));
    if (code !== 1 || !/^rcnn \w+: the GPU device was lost [^\n]*\n$/.test(error))
      throw new Error(`the device lost at submit ${at} of ${submits} (${code}):\n${output}`);
    await finish(run, out);
    await assertSame(out, reference, `the device lost at submit ${at}`);
    drill.log(`device lost at submit ${at} of ${submits}: ${error.trim()}`);
  }
}
