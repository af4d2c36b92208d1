/**
 * One writer per run directory: run.lock says which process on which host writes there. It is created exclusively, and taken
 * over if its process no longer runs, so nothing has to be tidied up by hand after a kill. Whether a process on another host
 * still runs cannot be known here, so its lock is respected.
 */
import { existsSync, linkSync, readdirSync, renameSync, rmdirSync, rmSync, lstatSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { UserError } from '../../engine/errors.ts';
import { readRegularText } from '../../engine/node/readFile.ts';
import { exclusiveFile, makeFolder, unwritable } from '../../engine/node/writeFile.ts';
import { isRunning, type ProcessIdentity, thisProcess } from '../../engine/node/processes.ts';
import { removeDeadTemporaries } from '../../engine/node/temporaries.ts';

const HOLDER = z.object({
  host: z.string(),
  pid: z.int().positive(),
  started: z.string().nullable(),
  since: z.string(),
});
type Holder = ProcessIdentity & { since: string };

export const lockPath = (directory: string): string => join(directory, 'run.lock');

/**
 * Runs `write` as the only writer of a run directory, which is created if necessary; throws one line if there is another
 * writer. Temporary files that dead processes left in it, or in the folders of its stages, are removed first. A folder that
 * is empty in the end is removed again.
 */
export async function asOnlyWriter<T>(directory: string, write: () => Promise<T>): Promise<T> {
  const release = lock(directory);
  process.once('exit', release); // a second Ctrl-C ends the process without coming back here
  try {
    for (const folder of [directory, ...foldersIn(directory)]) removeDeadTemporaries(folder);
    return await write();
  } finally {
    process.off('exit', release);
    release();
  }
}

const foldersIn = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(directory, name));

/** Takes the lock; returns a function that releases it. */
function lock(directory: string): () => void {
  const path = lockPath(directory);
  const mine = JSON.stringify({ ...thisProcess(), since: new Date().toISOString() } satisfies Holder) + '\n';
  let firstMade: string | undefined;
  try {
    firstMade = makeFolder(directory);
    while (!exclusiveFile(path, mine)) takeAway(path, directory);
  } catch (error) {
    throw error instanceof UserError
      ? error
      : unwritable(path, error as NodeJS.ErrnoException, 'run the command again');
  }
  return () => {
    if (textOf(path) === mine) rmSync(path, { force: true });
    if (firstMade !== undefined) removeEmpty(directory, firstMade);
  };
}

/** Removes the lock of a dead process; throws if the process is alive. */
function takeAway(path: string, directory: string): void {
  const text = textOf(path);
  if (text === null) return; // it has just been released
  const holder = holderOf(text);
  if (holder && isRunning(holder)) throw new UserError(`${directory}: ${describe(holder, path)}`);
  // Of several processes that find the same dead lock, one removes it. If another was faster and has made its own lock by now, that one
  // is put back.
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (textOf(aside) !== text) linkSync(aside, path);
  rmSync(aside);
}

function describe({ host, pid, since }: Holder, path: string): string {
  const writer = `process ${pid} on ${host} writes this run since ${since}`;
  if (host !== thisProcess().host)
    return `${writer}; wait for its end or, if that host no longer runs it, delete ${path}`;
  return pid === process.pid
    ? `this process writes the run already`
    : `${writer}; stop that one first, or choose another --out`;
}

/** Null if the text names no process. Locks are created whole, so such a lock is not held. */
function holderOf(text: string): Holder | null {
  try {
    return HOLDER.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Null if there is no lock. A link that leads nowhere is one without a text. */
function textOf(path: string): string | null {
  try {
    return readRegularText(path, { maxBytes: 4096 });
  } catch (error) {
    if (existsSync(path)) throw error;
    return lstatSync(path, { throwIfNoEntry: false }) ? '' : null;
  }
}

/** Removes a folder and its parents up to `first`, as long as they are empty. */
function removeEmpty(folder: string, first: string): void {
  for (let path = resolve(folder); path.length >= first.length; path = dirname(path)) {
    try {
      rmdirSync(path);
    } catch {
      return;
    }
  }
}
