/** Temporary files beside those that they will replace: their names say whose they are, so that dead ones can go. */
import { constants, openSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isRunning } from './processes.ts';

/** At most 255 bytes are a name: 60 characters of the file's, 40 of the host's. */
const host = (): string =>
  hostname()
    .replace(/[^\w-]/g, '-')
    .slice(0, 40);

const TEMPORARY = /\.([\w-]+)\.(\d+)\.tmp$/;

/**
 * Makes and opens a temporary file beside `path`. It is made exclusively: a link or a file that already has its name, left
 * by a dead process with this one's number or planted by somebody, is removed and never written through.
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
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return; // there is no such folder, and so nothing in it
  }
  for (const name of names) {
    const [, owner, pid] = TEMPORARY.exec(name) ?? [];
    if (owner !== host()) continue;
    // One with this process's own number is not being written: a file is written in one go, and nothing comes between.
    const alive = Number(pid) !== process.pid && isRunning({ host: hostname(), pid: Number(pid), started: null });
    if (alive) continue;
    try {
      rmSync(join(folder, name));
    } catch {
      // another process was faster, or it is a folder and none of ours
    }
  }
}
