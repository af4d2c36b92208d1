/** Reading files in Node: only regular files are read, up to a limit, and what keeps a file from being read is one line. */
import { constants as bufferLimits } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { asBuffer } from './asBuffer.ts';

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

/** Opens a file that `limits` allow, hands it to `read` and closes it. */
export function withRegularFile<T>(path: string, limits: ReadLimits, read: (file: number, stats: Stats) => T): T {
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

/** The most characters of a line: far more than a record has, and far fewer than a string may have. */
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
