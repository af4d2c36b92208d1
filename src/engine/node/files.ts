/** Safetensors files in Node. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
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

/**
 * Replaces `path` with `bytes`, all or nothing: a temporary file beside it is written, flushed and renamed, so that a
 * full disk or a kill leaves the previous file as it was.
 */
export function replaceFile(path: string, bytes: Uint8Array | string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const data = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  try {
    const file = openSync(temporary, 'w');
    try {
      for (let at = 0; at < data.byteLength;) at += writeSync(file, data, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOSPC' ? 'the disk is full; free some space and resume' : message;
    throw new UserError(`${path}: could not be written, ${why}`);
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

/** Whatever keeps a file from being read is the user's to mend, and named. */
function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UserError(`${path}: there is no such file`);
    throw new UserError(message.startsWith(`${path}: `) ? message : `${path}: ${message}`);
  }
}
