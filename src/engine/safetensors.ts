/**
 * The safetensors format in memory: an 8-byte little-endian header length, a JSON header, the tensors' bytes.
 * Reads F64, F32, F16, BF16, I32 and I64 (floats of any width as f32, integers as i32); writes F32 and I32. What the format's own reader (the crate
 * safetensors) refuses is refused here.
 */
import { UserError } from './errors.ts';
import { strictJson } from './strictJson.ts';

export interface StoredTensor {
  shape: number[];
  data: Float32Array | Int32Array;
}

export interface Safetensors {
  tensors: Record<string, StoredTensor>;
  metadata: Record<string, string>;
  /** Of a file that has a network's graph (ONNX): its layers in the order in which they are computed. */
  layers?: readonly WeightLayer[];
}

/** A layer by the names of its tensors in a file. */
export interface WeightLayer {
  weight: string;
  bias?: string;
  /** Whether the weight is [inputs, outputs], unlike ours. */
  inputsFirst: boolean;
}

/** The beginning of a file: its tensors' types, shapes and bytes, and where these begin. */
export interface SafetensorsHeader {
  entries: Record<string, HeaderEntry>;
  metadata: Record<string, string>;
  start: number;
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

const BYTES: Record<string, number> = { F64: 8, F32: 4, F16: 2, BF16: 2, I32: 4, I64: 8 };
/** Bytes of an element; undefined for a type that is not read. */
export const bytesOf = (dtype: string): number | undefined => BYTES[dtype];
/** Files of PyTorch's by their first four bytes: zip archives since 1.6, before that a pickle of a number of 10 bytes. */
const PYTORCH: Readonly<Record<number, string>> = {
  0x04034b50: 'a PyTorch file (.pth) or another zip archive',
  0x0a8a0280: 'a PyTorch file (.pth)',
};

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const ALL_BITS = Uint32Array.from({ length: 2 ** 16 }, (_, bits) => bits);
const TABLES: Record<string, () => Float32Array> = {
  F16: () => Float32Array.from(ALL_BITS, halfToFloat),
  BF16: () => new Float32Array(ALL_BITS.map((bits) => bits << 16).buffer),
};
/** A table of the values of all 16-bit patterns, built on first use: computing each value takes half a minute for VGG-16. */
const values: Record<string, Float32Array> = {};

/** The values of a tensor's bytes, in memory of their own. The machine is little-endian, as is the file. */
export function widen(dtype: string, bytes: Uint8Array): Float32Array | Int32Array {
  const { buffer } = new Uint8Array(bytes);
  if (dtype === 'I64') return Int32Array.from(new BigInt64Array(buffer), Number);
  if (dtype === 'I32') return new Int32Array(buffer);
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'F64') return new Float32Array(new Float64Array(buffer));
  const table = (values[dtype] ??= TABLES[dtype]!());
  const halves = new Uint16Array(buffer);
  const result = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) result[i] = table[halves[i]!]!;
  return result;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const areCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
const isTexts = (value: unknown): value is Record<string, string> =>
  isObject(value) && Object.values(value).every((text) => typeof text === 'string');
const isEntry = (value: unknown): value is HeaderEntry =>
  isObject(value) &&
  typeof value['dtype'] === 'string' &&
  areCounts(value['shape']) &&
  areCounts(value['data_offsets']) &&
  value['data_offsets'].length === 2;

/** The format's limit on the length of a header. */
const MAX_HEADER_BYTES = 100_000_000;

/** How many bytes of a file to read for its header, given its first eight: only those eight if the length cannot be right. */
export function headerEnd(first: DataView): number {
  const length = Number(first.getBigUint64(0, true));
  return length > MAX_HEADER_BYTES ? 8 : 8 + length;
}

/**
 * Reads and checks the header of a file of `fileBytes` bytes, of which `bytes` has at least the header. Throws a UserError, one
 * line that starts with `source`, where the header is malformed or does not fit the file.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  source: string,
  fileBytes = bytes.byteLength,
): SafetensorsHeader {
  const fail = (why: string): never => {
    throw new UserError(`${source}: ${why}; it is cut off or not a safetensors file: restore or recreate it`);
  };
  if (bytes.byteLength < 8) return fail(`has ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const foreign = PYTORCH[view.getUint32(0, true)];
  if (foreign) throw new UserError(`${source}: is ${foreign}; loadWeights reads it, and --init does`);
  const start = 8 + Number(view.getBigUint64(0, true));
  if (start > fileBytes) return fail(`its header claims ${start - 8} bytes of ${fileBytes}`);
  if (start - 8 > MAX_HEADER_BYTES) return fail(`its header has ${start - 8} bytes, more than ${MAX_HEADER_BYTES}`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, start));
  } catch {
    return fail('its header is not UTF-8');
  }
  if (!text.startsWith('{')) return fail('its header does not begin with {');
  let header: unknown;
  try {
    header = strictJson(text);
  } catch (error) {
    return fail(`its header ${(error as Error).message}`);
  }
  if (!isObject(header)) return fail('its header is not an object');
  const { __metadata__, ...entries } = header;
  const metadata = __metadata__ ?? {};
  if (!isTexts(metadata)) return fail('its metadata are not texts by name');
  const checked: [name: string, entry: HeaderEntry][] = [];
  for (const [name, entry] of Object.entries(entries)) {
    if (!isEntry(entry)) return fail(`tensor ${name} has no shape or no place`);
    const size = BYTES[entry.dtype];
    if (size === undefined) {
      throw new UserError(
        `${source}: tensor ${name} is ${entry.dtype}; ${Object.keys(BYTES).join(', ')} are read: convert it or leave it out`,
      );
    }
    const [begin, end] = entry.data_offsets;
    const count = entry.shape.reduce((product, n) => product * n, 1);
    if (end - begin !== count * size) fail(`tensor ${name} [${entry.shape}] has ${end - begin} bytes`);
    if (start + end > fileBytes) fail(`tensor ${name} ends beyond the file`);
    checked.push([name, entry]);
  }
  // In this format every byte belongs to exactly one tensor.
  let at = 0;
  const places = checked.map(([name, { data_offsets }]) => [name, ...data_offsets] as const);
  for (const [name, begin, end] of places.sort((a, b) => a[1] - b[1] || a[2] - b[2])) {
    if (begin < at) fail(`tensor ${name} shares bytes with another`);
    if (begin > at) fail(`no tensor has the ${begin - at} bytes before ${name}`);
    at = end;
  }
  if (start + at < fileBytes) fail(`no tensor has its last ${fileBytes - start - at} bytes`);
  return { entries: Object.fromEntries(checked), metadata, start };
}

/** Throws a UserError, one line that starts with `source`, where the bytes are not a whole safetensors file. */
export function parseSafetensors(bytes: Uint8Array, source: string): Safetensors {
  const { entries, metadata, start } = parseSafetensorsHeader(bytes, source);
  const tensors = Object.entries(entries).map(([name, { dtype, shape, data_offsets }]): [string, StoredTensor] => {
    const [begin, end] = data_offsets;
    return [name, { shape, data: widen(dtype, bytes.subarray(start + begin, start + end)) }];
  });
  return { tensors: Object.fromEntries(tensors), metadata };
}

export function serializeSafetensors(
  tensors: Record<string, StoredTensor>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { shape, data }]): [string, HeaderEntry] => {
    const dtype = data instanceof Int32Array ? 'I32' : 'F32';
    return [name, { dtype, shape, data_offsets: [offset, (offset += data.byteLength)] }];
  });
  // The header is padded with spaces so that the data is aligned to 8 bytes.
  let json = JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries]));
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
