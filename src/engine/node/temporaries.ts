/**
 * Temporary files and folders beside those they will become. Their names tell the owning process, so that stale ones can be
 * removed.
 */
import { constants, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isRunning } from './processes.ts';

/** A name has at most 255 bytes: 60 characters of the file's name and 40 of the host's are kept. */
const host = (): string =>
  hostname()
    .replace(/[^\w-]/g, '-')
    .slice(0, 40);

const TEMPORARY = /\.([\w-]+)\.(\d+)\.tmp$/;

/**
 * Makes and opens a temporary file beside `path`. It is made exclusively: a link or a file that already has its name, left
 * behind by a dead process with this one's number or planted by someone, is removed and never written through.
 */
export function openTemporary(path: string): { file: number; temporary: string } {
  const temporary = join(dirname(path), `${basename(path).slice(0, 60)}.${host()}.${process.pid}.tmp`);
  const make = (): number => openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  try {
    return { file: make(), temporary };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    rmSync(temporary);
    return { file: make(), temporary };
  }
}

/** Removes the temporary files in a folder that were left by processes of this host which no longer run. */
export function removeDeadTemporaries(folder: string): void {
  for (const name of namesIn(folder)) {
    if (!isDead(TEMPORARY.exec(name))) continue;
    try {
      rmSync(join(folder, name));
    } catch {
      // another process was faster, or it is a folder and not one of our files
    }
  }
}

const PARTIAL = /^\.(.*)\.([\w-]+)\.(\d+)\.partial$/s;

/** Makes an empty folder beside `path`, to be renamed to it once it is filled. Those that dead processes left are removed. */
export function makeTemporaryFolder(path: string): string {
  const [folder, name] = [dirname(path), basename(path).slice(0, 60)];
  for (const other of namesIn(folder)) {
    const [, target, ...owner] = PARTIAL.exec(other) ?? [];
    if (target === name && isDead(['', ...owner])) rmSync(join(folder, other), { recursive: true, force: true });
  }
  const temporary = join(folder, `.${name}.${host()}.${process.pid}.partial`);
  mkdirSync(temporary);
  return temporary;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // there is no such folder, so there is nothing in it
  }
}

/**
 * Whether a name tells a process of this host that no longer runs. One with this process's own number is stale: it is asked
 * only while this process is writing none.
 */
function isDead(match: readonly (string | undefined)[] | null): boolean {
  const [, owner, pid] = match ?? [];
  if (owner !== host()) return false;
  return Number(pid) === process.pid || !isRunning({ host: hostname(), pid: Number(pid), started: null });
}
