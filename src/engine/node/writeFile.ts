/** Writing files in Node: all or nothing, and what keeps a file from being written is one line. */
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { openTemporary } from './temporaries.ts';

/** What keeps a file from being written, by Node's codes, and what to do about it. */
const OBSTACLES: Readonly<Record<string, string>> = {
  ENOTDIR: 'a part of its path is a file; choose another place',
  EEXIST: 'a part of its path is a file; choose another place',
  EISDIR: 'there is a folder of this name; choose another name',
  ELOOP: 'there is a symbolic link that leads back to itself; choose another name',
  ENOENT: 'no file can be made there; choose another place',
  EACCES: 'you have no permission to write there; choose another place',
  EPERM: 'you have no permission to write there; choose another place',
  EROFS: 'it is on a read-only file system; choose another place',
  ENAMETOOLONG: 'its name is too long; choose another name',
};

/** The error for a file that could not be written. `again` is what the user should do once a full disk has room. */
export function unwritable(path: string, { code = '', message }: Error & { code?: string }, again: string): UserError {
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const why = full ? `the disk is full; free some space and ${again}` : OBSTACLES[code];
  // Node's text ends with the call and the path, which may be that of the temporary file.
  const other = (): string => `${message.replace(/, \w+( '.*)?$/s, '')}; choose another place`;
  return new UserError(`${path}: could not be written, ${why ?? other()}`);
}

/**
 * Replaces `path` with `bytes`, all or nothing: a temporary file beside it is written, flushed and renamed, so that a full
 * disk, a kill or a power cut leaves the previous file as it was; after the return the new one is on the disk, name and all.
 * The mode stays that of the previous file; a link is replaced, not followed. Makes the folder. A pipe or a device
 * (/dev/stdout) is written to directly. `again` is what the user should do after a full disk.
 */
export function replaceFile(path: string, bytes: Uint8Array | string, again = 'run the command again'): void {
  const data = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  let temporary: string | undefined;
  try {
    if (isStream(path)) return writeFileSync(path, data);
    makeFolder(dirname(path));
    const opened = openTemporary(path);
    temporary = opened.temporary;
    try {
      const before = statSync(path, { throwIfNoEntry: false });
      if (before) fchmodSync(opened.file, before.mode & 0o7777);
      writeAll(opened.file, data);
      fsyncSync(opened.file);
    } finally {
      closeSync(opened.file);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    try {
      if (temporary !== undefined) rmSync(temporary, { force: true });
    } catch {
      // the first error is the one to report
    }
    throw unwritable(path, error as NodeJS.ErrnoException, again);
  }
}

function writeAll(file: number, data: Uint8Array): void {
  for (let at = 0; at < data.byteLength;) at += writeSync(file, data, at, Math.min(2 ** 30, data.byteLength - at));
}

/** Makes a file that holds `text` from the moment it exists; false if there already is a file of its name. */
export function exclusiveFile(path: string, text: string): boolean {
  const data = new TextEncoder().encode(text);
  const { file, temporary } = openTemporary(path);
  try {
    writeAll(file, data);
    linkSync(temporary, path);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    return exclusiveWithoutLinks(path, data);
  } finally {
    closeSync(file);
    rmSync(temporary, { force: true });
  }
}

/** Like `exclusiveFile`, on file systems without hard links: for a moment the file is empty. */
function exclusiveWithoutLinks(path: string, data: Uint8Array): boolean {
  try {
    writeFileSync(path, data, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Appends to a file, which is made if necessary; anything but a regular file is refused with a one-line error. The bytes are on
 * the disk once `syncFile` has run.
 */
export function appendBytes(path: string, bytes: Uint8Array, again: string): void {
  try {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);
    const file = openSync(path, flags);
    try {
      if (!fstatSync(file).isFile()) throw new Error('it is not a regular file');
      writeAll(file, bytes);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, again);
  }
}

/** As `appendBytes`, for a line of text. */
export const appendLine = (path: string, line: string, again: string): void =>
  appendBytes(path, new TextEncoder().encode(`${line}\n`), again);

/** Waits until a file that was appended to is on the disk; does nothing if there is no such file. */
export function syncFile(path: string, again: string): void {
  if (!existsSync(path)) return;
  try {
    const file = openSync(path, constants.O_WRONLY | (constants.O_NONBLOCK ?? 0));
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    syncFolder(dirname(path));
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, again);
  }
}

/**
 * Makes a folder and its parents; returns the topmost one that was made, or undefined. One by one, since Node's recursive mkdir
 * never returns where no folder can be made (/proc).
 */
export function makeFolder(path: string): string | undefined {
  const missing: string[] = [];
  for (let folder = resolve(path); !isFolder(folder); folder = dirname(folder)) missing.push(folder);
  for (const folder of [...missing].reverse()) {
    try {
      mkdirSync(folder);
    } catch (error) {
      // Another process may have been faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isFolder(folder)) throw error;
    }
    syncFolder(dirname(folder));
  }
  return missing.at(-1);
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Waits until the names in a folder are on the disk, where the system can do that. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return; // it has no such call
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } catch (error) {
    // Some network file systems do not support this.
    if (!['EINVAL', 'ENOTSUP', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    closeSync(folder);
  }
}

/** Whether it is something other than a file or a folder, which renaming a file to its name would replace. */
function isStream(path: string): boolean {
  if (!existsSync(path)) return false;
  const stats = statSync(path);
  return !stats.isFile() && !stats.isDirectory();
}

/**
 * Throws if `replaceFile` could not write `path`, as far as that can be known beforehand: makes a temporary file where the file
 * would go, or in the nearest folder that there is, and removes it again.
 */
export function assertWritable(path: string): void {
  const obstacle = (code: string): Error => Object.assign(new Error(code), { code });
  try {
    const before = statSync(path, { throwIfNoEntry: false });
    if (before?.isDirectory()) throw obstacle('EISDIR');
    if (before && !before.isFile()) return; // a pipe or a device
    let folder = dirname(resolve(path));
    while (!existsSync(folder)) folder = dirname(folder);
    if (!statSync(folder).isDirectory()) throw obstacle('ENOTDIR');
    const { file, temporary } = openTemporary(join(folder, basename(path)));
    closeSync(file);
    rmSync(temporary);
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, 'run the command again');
  }
}
