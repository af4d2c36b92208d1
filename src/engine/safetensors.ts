/**
 * The safetensors format in memory: an 8-byte little-endian header length, a JSON header, the tensors' bytes.
 * Reads F32, F16, BF16 and I32 (floats widen to f32); writes F32 and I32.
 */
export interface StoredTensor {
  shape: number[];
  data: Float32Array | Int32Array;
}

export interface Safetensors {
  tensors: Record<string, StoredTensor>;
  metadata: Record<string, string>;
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

const BYTES: Record<string, number> = { F32: 4, F16: 2, BF16: 2, I32: 4 };

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The values of a tensor's bytes, in memory of their own. The machine is little-endian, as is the file. */
function widen(dtype: string, bytes: Uint8Array): Float32Array | Int32Array {
  const { buffer } = new Uint8Array(bytes);
  if (dtype === 'I32') return new Int32Array(buffer);
  if (dtype === 'F32') return new Float32Array(buffer);
  const halves = new Uint16Array(buffer);
  if (dtype === 'F16') return Float32Array.from(halves, halfToFloat);
  return new Float32Array(Uint32Array.from(halves, (bits) => bits << 16).buffer);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const areCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
const isEntry = (value: unknown): value is HeaderEntry =>
  isObject(value) &&
  areCounts(value['shape']) &&
  areCounts(value['data_offsets']) &&
  value['data_offsets'].length === 2;

/** Throws one line that starts with `source` where the bytes are not a whole safetensors file. */
export function parseSafetensors(bytes: Uint8Array, source: string): Safetensors {
  const fail = (why: string): never => {
    throw new Error(`${source}: ${why}; it is cut off or not a safetensors file`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 8) fail(`has ${bytes.byteLength} bytes`);
  const headerBytes = Number(view.getBigUint64(0, true));
  const start = 8 + headerBytes;
  if (start > bytes.byteLength) fail(`its header claims ${headerBytes} bytes of ${bytes.byteLength}`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  } catch {
    return fail('its header is not JSON');
  }
  if (!isObject(header)) return fail('its header is not an object');
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isObject(metadata)) return fail('its metadata is not an object');
  const tensors: Record<string, StoredTensor> = {};
  for (const [name, entry] of Object.entries(entries)) {
    if (!isEntry(entry)) return fail(`tensor ${name} has no shape or no place`);
    const size = BYTES[entry.dtype];
    if (size === undefined)
      throw new Error(`${source}: tensor ${name} is ${entry.dtype}; F32, F16, BF16 and I32 are read`);
    const [begin, end] = entry.data_offsets;
    const count = entry.shape.reduce((product, n) => product * n, 1);
    if (end - begin !== count * size) fail(`tensor ${name} [${entry.shape}] has ${end - begin} bytes`);
    if (start + end > bytes.byteLength) fail(`tensor ${name} ends beyond the file`);
    tensors[name] = { shape: entry.shape, data: widen(entry.dtype, bytes.subarray(start + begin, start + end)) };
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

export function serializeSafetensors(
  tensors: Record<string, StoredTensor>,
  metadata: Record<string, string> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const dtype = data instanceof Int32Array ? 'I32' : 'F32';
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  // The header is padded with spaces so that the data is aligned to 8 bytes.
  let json = JSON.stringify(header);
  json += ' '.repeat((8 - (new TextEncoder().encode(json).length % 8)) % 8);
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + text.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
