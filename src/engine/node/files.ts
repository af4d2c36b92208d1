/** Files in Node: written all or nothing; safetensors. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../errors.ts';
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

/** What keeps a file from being written, by Node's codes, and what to do about it. */
const OBSTACLES: Readonly<Record<string, string>> = {
  ENOTDIR: 'a part of its path is a file; choose another place',
  EEXIST: 'a part of its path is a file; choose another place',
  EISDIR: 'there is a folder of this name; choose another name',
  EACCES: 'you have no permission to write there; choose another place',
  EPERM: 'you have no permission to write there; choose another place',
  EROFS: 'it is on a read-only file system; choose another place',
  ENAMETOOLONG: 'its name is too long; choose another name',
};

/** The error of a file that could not be written. `again`: how the user goes on once a full disk has room. */
export function unwritable(path: string, { code = '', message }: Error & { code?: string }, again: string): UserError {
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const why = full ? `the disk is full; free some space and ${again}` : OBSTACLES[code];
  // Node's text ends with the call and the path, which may be that of the temporary file.
  const other = (): string => `${message.replace(/, \w+( '.*)?$/s, '')}; choose another place`;
  return new UserError(`${path}: could not be written, ${why ?? other()}`);
}

/**
 * Replaces `path` with `bytes`, all or nothing: a temporary file beside it is written, flushed and renamed, so that a
 * full disk or a kill leaves the previous file as it was. Makes the folder. A pipe or a device (/dev/stdout) is written to
 * as it is. `again`: what the user does after a full disk.
 */
export function replaceFile(path: string, bytes: Uint8Array | string, again = 'run the command again'): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const data = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  try {
    if (isStream(path)) return writeFileSync(path, data);
    mkdirSync(dirname(path), { recursive: true });
    const file = openSync(temporary, 'w');
    try {
      for (let at = 0; at < data.byteLength;) at += writeSync(file, data, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // the first error is the one to tell
    }
    throw unwritable(path, error as NodeJS.ErrnoException, again);
  }
}

/** Something other than a file or a folder: renaming a file to its name would put that in its place. */
function isStream(path: string): boolean {
  if (!existsSync(path)) return false;
  const stats = statSync(path);
  return !stats.isFile() && !stats.isDirectory();
}

/** Throws where `replaceFile` could not write `path`, as far as that shows beforehand; makes nothing. */
export function assertWritable(path: string): void {
  const obstacle = (code: string): UserError => unwritable(path, Object.assign(new Error(code), { code }), '');
  if (existsSync(path) && statSync(path).isDirectory()) throw obstacle('EISDIR');
  if (isStream(path)) return;
  let folder = dirname(resolve(path));
  while (!existsSync(folder)) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) throw obstacle('ENOTDIR');
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw unwritable(path, error as NodeJS.ErrnoException, '');
  }
}

/** Reads tensors (values are waited for) and writes them as one safetensors file, atomically. */
export async function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor | StoredTensor>>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const stored: Record<string, StoredTensor> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    stored[name] = tensor instanceof Tensor ? { shape: [...tensor.shape], data: await tensor.read() } : tensor;
  }
  replaceFile(path, serializeSafetensors(stored, metadata));
}

/** The tensors and the metadata of a safetensors file; floats of any width as f32. */
export async function loadSafetensors(path: string): Promise<Safetensors> {
  return reading(path, () => parseSafetensors(readFileSync(path), path));
}

/** What a safetensors file has, checked but without the tensors' values: they may be half a gigabyte. */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  return reading(path, () => {
    const file = openSync(path, 'r');
    try {
      const { size } = fstatSync(file);
      const first = readBytes(file, Math.min(8, size));
      const end = first.length < 8 ? size : headerEnd(new DataView(first.buffer));
      return parseSafetensorsHeader(end > size ? first : readBytes(file, end), path, size);
    } finally {
      closeSync(file);
    }
  });
}

/** The first bytes of an open file. */
function readBytes(file: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  readSync(file, bytes, 0, count, 0);
  return bytes;
}

/** Whatever keeps a file from being read is the user's to fix, and named. */
function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UserError(`${path}: there is no such file`);
    throw new UserError(message.startsWith(`${path}: `) ? message : `${path}: ${message}`);
  }
}
