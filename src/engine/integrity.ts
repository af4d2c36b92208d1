/** Whether stored tensors are what was saved: a checksum that travels in a file's metadata, and values that are finite. */
import { UserError } from './errors.ts';
import type { Safetensors, StoredTensor } from './safetensors.ts';

/** The key of the checksum in a file's metadata. */
const CHECKSUM = 'webgpu-rcnn sha256';

/**
 * The metadata with a checksum of everything: SHA-256, in hexadecimal, of a text with a line for each other entry of the
 * metadata and for each tensor (name, type, shape, SHA-256 of its bytes), sorted.
 */
export async function withChecksum({ tensors, metadata }: Safetensors): Promise<Record<string, string>> {
  return { ...metadata, [CHECKSUM]: await checksum({ tensors, metadata }) };
}

/**
 * Checks a file against its checksum and returns it without one. If they differ, throws one line that begins with `source`.
 * A file without a checksum is accepted: it is older, or was written by another program.
 */
export async function verified(read: Safetensors, source: string): Promise<Safetensors> {
  const { [CHECKSUM]: expected, ...rest } = read.metadata;
  const file = { ...read, metadata: rest };
  if (expected === undefined || expected === (await checksum(file))) return file;
  throw new UserError(
    `${source}: its contents have changed since they were saved (the SHA-256 differs); restore the file or train again`,
  );
}

async function checksum({ tensors, metadata }: Safetensors): Promise<string> {
  const lines = Object.entries(metadata).map(([key, value]) => JSON.stringify(['metadata', key, value]));
  // One after the other: the browser's digest copies what it hashes, and VGG-16 has a tensor of 411 MB.
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const type = data instanceof Int32Array ? 'I32' : 'F32';
    lines.push(JSON.stringify(['tensor', name, type, shape, await sha256(data)]));
  }
  return sha256(new TextEncoder().encode(lines.sort().join('\n')));
}

async function sha256(data: StoredTensor['data'] | Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', data as BufferSource);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Whether all values are finite: a finite value times 0 is 0, any other gives NaN. Faster than testing each value. */
export function allFinite(values: StoredTensor['data']): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * 0;
  return sum === 0;
}
