/** Safetensors files in Node. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { parseSafetensors, type Safetensors, serializeSafetensors, type StoredTensor } from '../safetensors.ts';
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
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new UserError(`${path}: ${missing ? 'there is no such file' : (error as Error).message}`);
  }
  try {
    return parseSafetensors(bytes, path);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
}
