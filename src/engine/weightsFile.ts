/** Files of weights in memory, by whatever program they were written: safetensors, PyTorch's, pickled numpy arrays, or ONNX. */
import { isNumpyPickle, numpyEntries, parseNumpyPickle } from './numpyPickle.ts';
import { isOnnx, onnxWeights, parseOnnx } from './onnxFile.ts';
import { isPytorch, parsePytorch, pytorchEntries } from './pytorchFile.ts';
import { parseSafetensors, parseSafetensorsHeader, type Safetensors } from './safetensors.ts';

/** What is known of a file without its values. */
export interface WeightsHeader {
  shapes: Record<string, readonly number[]>;
  /** Of a safetensors file. */
  metadata: Record<string, string>;
}

/** Throws a UserError, one line that starts with `source`, where the bytes are none of these, or damaged. */
export function parseWeights(bytes: Uint8Array, source: string): Safetensors {
  if (isPytorch(bytes)) return { tensors: parsePytorch(bytes, source), metadata: {} };
  if (isNumpyPickle(bytes)) return { tensors: parseNumpyPickle(bytes, source), metadata: {} };
  if (isOnnx(bytes)) return { ...parseOnnx(bytes, source), metadata: {} };
  return parseSafetensors(bytes, source);
}

/** Whether a file has to be read whole for the names and shapes in it, by how it begins. */
export const hasNoHeader = (bytes: Uint8Array): boolean => isPytorch(bytes) || isNumpyPickle(bytes) || isOnnx(bytes);

/** `bytes` has a whole file of PyTorch, numpy or ONNX, or at least the header of a safetensors file of `fileBytes` bytes. */
export function parseWeightsHeader(bytes: Uint8Array, source: string, fileBytes = bytes.byteLength): WeightsHeader {
  const { entries, metadata } = isPytorch(bytes)
    ? { entries: pytorchEntries(bytes, source), metadata: {} }
    : isNumpyPickle(bytes)
      ? { entries: numpyEntries(bytes, source), metadata: {} }
      : isOnnx(bytes)
        ? { entries: onnxWeights(bytes, source).entries, metadata: {} }
        : parseSafetensorsHeader(bytes, source, fileBytes);
  return { shapes: Object.fromEntries(Object.entries(entries).map(([name, { shape }]) => [name, shape])), metadata };
}
