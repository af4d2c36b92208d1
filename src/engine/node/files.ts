/** Files in Node: only regular files are read, every write is all or nothing; safetensors. */
import { constants as bufferLimits } from 'node:buffer';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { asBuffer } from './asBuffer.ts';
import { UserError } from '../errors.ts';
import { verified, withChecksum } from '../integrity.ts';
import {
  headerEnd,
  parseSafetensors,
  parseSafetensorsHeader,
  type Safetensors,
  type SafetensorsHeader,
  serializeSafetensors,
  type StoredTensor,
} from '../safetensors.ts';
import { Tensor } from '../tensor.ts';
import { openTemporary } from './temporaries.ts';

export interface ReadLimits {
  /** A larger file is refused. */
  maxBytes: number;
  /** A named pipe is read to its end, for what `<(command)` gives in a shell; without it only a regular file is read. */
  pipe?: boolean;
}

/** What keeps a file from being read, by Node's codes, and what to do about it. */
const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; check the name',
  ENOTDIR: 'a part of its path is a file; check the name',
  EISDIR: 'is a folder; name a file',
  EACCES: 'you have no permission to read it; change that or name another file',
  EPERM: 'you have no permission to read it; change that or name another file',
  ELOOP: 'is a symbolic link that leads back to itself; name the file that it was meant for',
  ENAMETOOLONG: 'its name is too long; check the name',
  ENXIO: 'is neither a file nor a folder; name a regular file',
};

/** The error for a file that could not be read; an error that is already worded for the user stays as it is. */
export function unreadable(path: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  // Node's text ends with the call and the path.
  const other = `cannot be read (${message.replace(/, \w+( '.*)?$/s, '')}); check that it is a file you can read`;
  return new UserError(`${path}: ${UNREADABLE[code] ?? other}`);
}

/** O_NONBLOCK, since opening a pipe without a writer would block forever; O_NOCTTY, so that no terminal takes control. */
const openFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/** Throws if an open file must not be read whole: a device has no end, and reading it may have side effects. */
function assertReadable(path: string, stats: Stats, { maxBytes, pipe = false }: ReadLimits): void {
  if (stats.isDirectory()) throw new UserError(`${path}: ${UNREADABLE['EISDIR']}`);
  if (stats.isFIFO() && pipe) return;
  if (!stats.isFile()) {
    const kind = stats.isFIFO() ? 'a named pipe' : stats.isSocket() ? 'a socket' : 'a device';
    throw new UserError(`${path}: is ${kind}; name a regular file`);
  }
  if (stats.size > maxBytes) throw tooLarge(path, maxBytes);
}

function tooLarge(path: string, maxBytes: number): UserError {
  const limit = maxBytes < 1e6 ? `${maxBytes} bytes` : `${Math.floor(maxBytes / 1e6)} MB`;
  return new UserError(
    `${path}: is larger than the ${limit} that are read of such a file; check that it is the right one`,
  );
}

/** Bytes as they arrive, for files whose size is not known beforehand (/proc, a pipe) or still grows. */
class Arriving {
  private bytes: Buffer;
  private used = 0;
  private readonly path: string;
  private readonly maxBytes: number;

  constructor(path: string, expected: number, maxBytes: number) {
    this.path = path;
    this.maxBytes = maxBytes;
    // One byte more than the file has, so that the read that fills the buffer is also the one that meets the end.
    this.bytes = Buffer.allocUnsafeSlow(Math.max(expected, 4095) + 1);
  }

  /** Where the next bytes go. A single read in Node is limited to less than 2 GiB. */
  get room(): Buffer {
    if (this.used === this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.min(2 * this.bytes.length, Math.max(this.bytes.length, this.maxBytes) + 1),
      );
      this.bytes.copy(larger, 0, 0, this.used);
      this.bytes = larger;
    }
    return this.bytes.subarray(this.used, Math.min(this.bytes.length, this.used + 2 ** 30));
  }

  /** Whether there may be more. */
  took(count: number): boolean {
    this.used += count;
    if (this.used > this.maxBytes) throw tooLarge(this.path, this.maxBytes);
    return count > 0;
  }

  get all(): Buffer {
    return this.bytes.subarray(0, this.used);
  }
}

/**
 * The bytes of a regular file, or of what a link to one leads to. A folder, a device, a socket or a larger file is refused
 * in one line (UserError) before anything of it is read.
 */
export const readRegularFile = (path: string, limits: ReadLimits): Uint8Array =>
  withRegularFile(path, limits, (file, { size }) => {
    const arriving = new Arriving(path, size, limits.maxBytes);
    while (arriving.took(readSync(file, arriving.room)));
    return arriving.all;
  });

function withRegularFile<T>(path: string, limits: ReadLimits, read: (file: number, stats: Stats) => T): T {
  try {
    // A pipe must be opened so that reading waits for its writer.
    const file = openSync(path, limits.pipe && statSync(path).isFIFO() ? constants.O_RDONLY : openFlags);
    try {
      const stats = fstatSync(file);
      assertReadable(path, stats, limits);
      return read(file, stats);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Like `readRegularFile`, but asynchronous; it does not read pipes. */
export async function readRegularFileAsync(path: string, { maxBytes }: { maxBytes: number }): Promise<Uint8Array> {
  try {
    const file = await open(path, openFlags);
    try {
      const stats = await file.stat();
      assertReadable(path, stats, { maxBytes });
      const arriving = new Arriving(path, stats.size, maxBytes);
      for (;;) {
        const room = arriving.room;
        const { bytesRead } = await file.read(room, 0, room.length);
        if (!arriving.took(bytesRead)) return arriving.all;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Characters of a line: far more than a record has, and far fewer than a string may. */
const LONGEST_LINE = 2 ** 20;

/** The lines of a regular file in UTF-8, which may be larger than a string; one line at a time, without its line break. */
export async function* readRegularLines(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const chunk = Buffer.allocUnsafe(2 ** 16);
  let rest = '';
  const file = await openRegular(path);
  try {
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length);
      rest += decoder.decode(chunk.subarray(0, bytesRead), { stream: bytesRead > 0 });
      const lines = rest.split(/\r?\n/);
      rest = bytesRead > 0 ? lines.pop()! : '';
      if (bytesRead === 0 && lines.at(-1) === '') lines.pop();
      yield* lines;
      if (rest.length > LONGEST_LINE) {
        throw new UserError(
          `${path}: has a line of more than ${LONGEST_LINE} characters; check that it is the right file`,
        );
      }
      if (bytesRead === 0) return;
    }
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await file.close();
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, openFlags);
    assertReadable(path, await file.stat(), { maxBytes: Infinity });
    return file;
  } catch (error) {
    await file?.close();
    throw unreadable(path, error);
  }
}

/** Like `readRegularFile`, decoded from UTF-8; `maxBytes` is at most what a string can hold. */
export function readRegularText(path: string, limits: ReadLimits): string {
  const maxBytes = Math.min(limits.maxBytes, bufferLimits.MAX_STRING_LENGTH);
  return asBuffer(readRegularFile(path, { ...limits, maxBytes })).toString('utf8');
}

/** What keeps a file from being written, by Node's codes, and what to do about it. */
const OBSTACLES: Readonly<Record<string, string>> = {
  ENOTDIR: 'a part of its path is a file; choose another place',
  EEXIST: 'a part of its path is a file; choose another place',
  EISDIR: 'there is a folder of this name; choose another name',
  ELOOP: 'there is a symbolic link that leads back to itself; choose another name',
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
 * Appends a line to a file, which is made if necessary; anything but a regular file is refused with a one-line error. The
 * line is on the disk once `syncFile` has run.
 */
export function appendLine(path: string, line: string, again: string): void {
  try {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);
    const file = openSync(path, flags);
    try {
      if (!fstatSync(file).isFile()) throw new Error('it is not a regular file');
      writeAll(file, new TextEncoder().encode(`${line}\n`));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, again);
  }
}

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

/** Makes a folder and its parents; returns the topmost one that was made, or undefined. */
export function makeFolder(path: string): string | undefined {
  const folder = resolve(path);
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return undefined;
  for (let made = folder; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
  return first;
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

/** Throws if `replaceFile` could not write `path`, as far as that can be known beforehand; makes nothing. */
export function assertWritable(path: string): void {
  const obstacle = (code: string): UserError => unwritable(path, Object.assign(new Error(code), { code }), '');
  let before: Stats | undefined;
  try {
    before = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, '');
  }
  if (before?.isDirectory()) throw obstacle('EISDIR');
  if (before && !before.isFile()) return; // a pipe or a device
  let folder = dirname(resolve(path));
  while (!existsSync(folder)) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) throw obstacle('ENOTDIR');
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, '');
  }
}

/** Reads tensors (values are waited for) and writes them as one safetensors file, atomically and with a checksum. */
export async function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor | StoredTensor>>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const stored: Record<string, StoredTensor> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    stored[name] = tensor instanceof Tensor ? { shape: [...tensor.shape], data: await tensor.read() } : tensor;
  }
  replaceFile(path, serializeSafetensors(stored, await withChecksum({ tensors: stored, metadata })));
}

/** A VGG-16 with its momentum has 1.1 GB. */
const MAX_SAFETENSORS_BYTES = 16e9;

/**
 * The tensors and the metadata of a safetensors file; floats of any width as f32. A file that this package wrote is checked
 * against its checksum.
 */
export async function loadSafetensors(path: string): Promise<Safetensors> {
  const bytes = readRegularFile(path, { maxBytes: MAX_SAFETENSORS_BYTES });
  return verified(parseSafetensors(bytes, path), path);
}

/** The header of a safetensors file, checked; the tensors' values, perhaps half a gigabyte, are not read. */
export const readSafetensorsHeader = (path: string): SafetensorsHeader =>
  withRegularFile(path, { maxBytes: MAX_SAFETENSORS_BYTES }, (file, { size }) => {
    const first = readBytes(file, Math.min(8, size));
    const end = first.length < 8 ? size : headerEnd(new DataView(first.buffer));
    return parseSafetensorsHeader(end > size ? first : readBytes(file, end), path, size);
  });

/** The first bytes of an open file. */
function readBytes(file: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  readSync(file, bytes, 0, count, 0);
  return bytes;
}
