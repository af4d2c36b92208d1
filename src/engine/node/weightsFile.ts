/** Files of weights in Node: safetensors, PyTorch's (.pth), pickled numpy arrays (.pkl), or ONNX. */
import { verified } from '../integrity.ts';
import type { Safetensors } from '../safetensors.ts';
import { hasNoHeader, parseWeights, parseWeightsHeader, type WeightsHeader } from '../weightsFile.ts';
import { readRegularFile, withRegularFile } from './readFile.ts';
import { MAX_SAFETENSORS_BYTES, readBytes, readSafetensorsHeader } from './safetensorsFile.ts';

const LIMITS = { maxBytes: MAX_SAFETENSORS_BYTES };

/** The tensors and the metadata of a file of weights: as `loadSafetensors`, or of PyTorch's or an ONNX file, which have no metadata. */
export async function loadWeights(path: string): Promise<Safetensors> {
  return verified(parseWeights(readRegularFile(path, LIMITS), path), path);
}

/** Names and shapes of a file of weights, and its metadata. Of a safetensors file the header alone is read. */
export function readWeightsHeader(path: string): WeightsHeader {
  const whole = withRegularFile(path, LIMITS, (file, { size }) => hasNoHeader(readBytes(file, Math.min(16, size))));
  if (whole) return parseWeightsHeader(readRegularFile(path, LIMITS), path);
  const { entries, metadata } = readSafetensorsHeader(path);
  return { shapes: Object.fromEntries(Object.entries(entries).map(([name, { shape }]) => [name, shape])), metadata };
}
