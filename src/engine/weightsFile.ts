/** Files of weights in memory, by whatever program they were written: safetensors, or PyTorch's. */
import { isPytorch, parsePytorch, pytorchEntries } from './pytorchFile.ts';
import { parseSafetensors, parseSafetensorsHeader, type Safetensors } from './safetensors.ts';

/** What is known of a file without its values. */
export interface WeightsHeader {
  shapes: Record<string, readonly number[]>;
  /** Of a safetensors file. */
  metadata: Record<string, string>;
}

/** Throws a UserError, one line that starts with `source`, where the bytes are neither, or damaged. */
export const parseWeights = (bytes: Uint8Array, source: string): Safetensors =>
  isPytorch(bytes) ? { tensors: parsePytorch(bytes, source), metadata: {} } : parseSafetensors(bytes, source);

/** `bytes` has a whole PyTorch file, or at least the header of a safetensors file of `fileBytes` bytes. */
export function parseWeightsHeader(bytes: Uint8Array, source: string, fileBytes = bytes.byteLength): WeightsHeader {
  const { entries, metadata } = isPytorch(bytes)
    ? { entries: pytorchEntries(bytes, source), metadata: {} }
    : parseSafetensorsHeader(bytes, source, fileBytes);
  return { shapes: Object.fromEntries(Object.entries(entries).map(([name, { shape }]) => [name, shape])), metadata };
}
