/** Safetensors files in Node: saved with a checksum, loaded and checked. */
import { readSync } from 'node:fs';
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
import { readRegularFile, withRegularFile } from './readFile.ts';
import { replaceFile } from './writeFile.ts';

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
export const MAX_SAFETENSORS_BYTES = 16e9;

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
export function readBytes(file: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  readSync(file, bytes, 0, count, 0);
  return bytes;
}
