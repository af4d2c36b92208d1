/**
 * PyTorch's files (`torch.save`, .pth and .pt) in memory: tensors in dictionaries, and nothing else; no code of a file is ever
 * run. Two layouts are read: the zip archive of PyTorch 1.6 and later (a pickle, data.pkl, and each storage as an entry of its
 * own), and the one before it (pickles, then the storages one after another; torch/serialization.py).
 *
 * Sizes are checked before anything is unpacked or allocated: an archive may hold at most what PyTorch, which does not compress,
 * would have written, and a tensor at most what its storage holds.
 */
import { inOneLine, UserError } from './errors.ts';
import { type PickledName, unpickle } from './pickle.ts';
import { bytesOf, type StoredTensor, widen } from './safetensors.ts';
import { openZip } from './zipFile.ts';

/** A tensor of a file whose values have not been read yet. */
export interface PytorchEntry {
  shape: number[];
  /** As safetensors calls it. */
  dtype: string;
  read(): StoredTensor['data'];
}

/** PyTorch's classes of storages, as safetensors calls their elements. */
const STORAGES: Readonly<Record<string, string>> = {
  'torch.FloatStorage': 'F32',
  'torch.DoubleStorage': 'F64',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.IntStorage': 'I32',
  'torch.LongStorage': 'I64',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/** How a file's own bytes begin. */
const ZIP = [0x50, 0x4b, 0x03, 0x04];
/** A pickle of the number 0x1950a86a20f9469cfc6c. */
const LEGACY = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];

/** What unpacking may multiply a file's size by. */
const MOST_EXPANSION = 4;

interface Storage {
  key: string;
  dtype: string;
  /** Elements. */
  length: number;
}

interface TensorView {
  storage: Storage;
  offset: number;
  shape: number[];
  strides: number[];
}

/** Whether bytes begin as a file of PyTorch's does. */
export const isPytorch = (bytes: Uint8Array): boolean =>
  [ZIP, LEGACY].some((magic) => magic.every((value, i) => bytes[i] === value));

const naming = <T>(source: string, read: () => T): T =>
  inOneLine(
    source,
    read,
    (message) => `${message}; it is cut off, damaged or not a PyTorch file: fetch or save it again`,
  );

/**
 * The tensors of a file by name: those of its dictionary, or of `model`, `state_dict` or `model_state_dict` in it. Throws a
 * UserError, one line that starts with `source`, where the file is something else, damaged, or holds anything but tensors.
 */
export const pytorchEntries = (bytes: Uint8Array, source: string): Record<string, PytorchEntry> =>
  naming(source, () => readEntries(bytes));

/** The values of every tensor of a file, floats of any width in float32. */
export const parsePytorch = (bytes: Uint8Array, source: string): Record<string, StoredTensor> =>
  naming(source, () => {
    const entries = Object.entries(readEntries(bytes)).map(([name, { shape, dtype, read }]) => {
      if (bytesOf(dtype) === undefined)
        throw new UserError(`tensor ${name} is ${dtype}, which is not read; convert it to float or leave it out`);
      return [name, { shape, data: read() }];
    });
    return Object.fromEntries(entries) as Record<string, StoredTensor>;
  });

function readEntries(bytes: Uint8Array): Record<string, PytorchEntry> {
  const zip = ZIP.every((value, i) => bytes[i] === value);
  const { root, storageBytes } = zip ? readArchive(bytes) : readLegacy(bytes);
  return entriesOf(root, storageBytes);
}

interface Contents {
  root: unknown;
  storageBytes: (storage: Storage) => Uint8Array;
}

function readArchive(bytes: Uint8Array): Contents {
  const { sizes, unpack } = openZip(bytes, MOST_EXPANSION, 'which PyTorch never writes');
  const pickles = [...sizes.keys()].filter((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickles.length !== 1) throw new UserError('is a zip archive, but not one that torch.save writes');
  const folder = pickles[0]!.slice(0, -'data.pkl'.length);
  const byteOrder = `${folder}byteorder`;
  const files = unpack((name) => name === pickles[0] || name === byteOrder);
  if (files.has(byteOrder) && new TextDecoder().decode(files.get(byteOrder)).trim() !== 'little')
    throw new UserError('holds big-endian numbers; save it again on the machine that will read it');
  const { value } = unpickle(files.get(pickles[0]!)!, 0, { find: findName, persistent: storageOf });
  return {
    root: value,
    storageBytes(storage) {
      const name = `${folder}data/${storage.key}`;
      if (!sizes.has(name)) throw new Error(`it lacks the storage ${storage.key}`);
      return unpack((other) => other === name).get(name)!;
    },
  };
}

function readLegacy(bytes: Uint8Array): Contents {
  const storages = new Map<string, Storage>();
  const rules = {
    find: findName,
    persistent(id: readonly unknown[]) {
      const storage = storageOf(id);
      if (id[5] !== null && id[5] !== undefined)
        throw new UserError('holds views of storages; save it with PyTorch 1.6 or later');
      storages.set(storage.key, storage);
      return storage;
    },
  };
  const next = (at: number) => unpickle(bytes, at, rules);
  const version = next(LEGACY.length);
  if (version.value !== 1001) throw new UserError("has a file format of PyTorch's other than 1001, which is read");
  const system = next(version.end);
  if (!(system.value instanceof Map) || system.value.get('little_endian') !== true)
    throw new UserError('holds big-endian numbers; save it again on the machine that will read it');
  const root = next(system.end);
  const keys = next(root.end);
  if (!areTexts(keys.value)) throw new Error('it lacks the list of its storages');
  const places = new Map<string, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = keys.end;
  for (const key of keys.value) {
    const storage = storages.get(key);
    const size = storage && (bytesOf(storage.dtype) ?? ({ I16: 2 } as Record<string, number>)[storage.dtype] ?? 1);
    if (!storage || !size) throw new Error(`storage ${key} belongs to no tensor`);
    if (at + 8 > bytes.length) throw new Error(`it ends before storage ${key}`);
    const length = Number(view.getBigInt64(at, true));
    const end = at + 8 + length * size;
    if (length !== storage.length || end > bytes.length) throw new Error(`storage ${key} is not whole`);
    places.set(key, bytes.subarray(at + 8, end));
    at = end;
  }
  return {
    root: root.value,
    storageBytes({ key }) {
      const place = places.get(key);
      if (!place) throw new Error(`it lacks the storage ${key}`);
      return place;
    },
  };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const areTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string');
const areCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);

const ORDERED_DICT: PickledName = {
  name: 'collections.OrderedDict',
  call: ([items = []]) => {
    if (!Array.isArray(items)) throw new Error('its pickle is damaged');
    return new Map(items.map((pair) => pair as [unknown, unknown]));
  },
};

const rebuilt = ([storage, offset, shape, strides]: readonly unknown[]): TensorView => {
  const whole = isStorage(storage) && isCount(offset) && areCounts(shape) && areCounts(strides);
  if (!whole || shape.length !== strides.length) throw new Error('it holds a tensor that is not well-formed');
  const count = shape.reduce((product, n) => product * n, 1);
  const lastIndex = shape.reduce((sum, n, i) => sum + (n - 1) * strides[i]!, offset);
  if (count > storage.length || (count > 0 && lastIndex >= storage.length))
    throw new Error('it holds a tensor that is larger than its storage');
  return { storage, offset, shape: [...shape], strides: [...strides] }; // a pickle may go on to change its lists
};

const NAMES = new Map<string, PickledName>(
  [
    ORDERED_DICT,
    ...['torch._utils._rebuild_tensor_v2', 'torch._utils._rebuild_tensor'].map((name) => ({ name, call: rebuilt })),
    { name: 'torch._utils._rebuild_parameter', call: ([data]: readonly unknown[]) => data },
    { name: 'torch.Size', call: ([sizes = []]: readonly unknown[]) => sizes },
    ...Object.keys(STORAGES).map((name) => ({ name })),
  ].map((known) => [known.name, known]),
);

function findName(name: string): PickledName {
  const known = NAMES.get(name);
  if (known) return known;
  if (/_rebuild_qtensor|\.Q\w+Storage$/.test(name))
    throw new UserError('holds quantised tensors; save the weights before quantisation');
  const use = "save its weights alone: torch.save(model.state_dict(), 'weights.pth')";
  if (/^(torch\.nn|torchvision|__torch__)\.|^__main__\./.test(name))
    throw new UserError(`is a whole pickled model (it names ${name}), which only its own code can read; ${use}`);
  throw new UserError(`holds ${name}, and only tensors in dictionaries are read; ${use}`);
}

const isStorage = (value: unknown): value is Storage =>
  typeof value === 'object' && value !== null && 'key' in value && 'dtype' in value;

/** ('storage', its class, its key, its device, its length) */
function storageOf([kind, type, key, , length]: readonly unknown[]): Storage {
  const dtype = STORAGES[(type as Partial<PickledName> | undefined)?.name ?? ''];
  if (kind !== 'storage' || dtype === undefined || typeof key !== 'string' || !isCount(length))
    throw new Error('it holds a storage that is not known');
  return { key, dtype, length };
}

const isView = (value: unknown): value is TensorView =>
  typeof value === 'object' && value !== null && 'storage' in value && 'strides' in value;

/** Where programs put a state dict beside other things. */
const INSIDE = ['model', 'state_dict', 'model_state_dict'];

function entriesOf(root: unknown, storageBytes: Contents['storageBytes']): Record<string, PytorchEntry> {
  if (!(root instanceof Map)) throw new UserError('holds no dictionary of tensors; save model.state_dict()');
  const inner = INSIDE.map((name) => root.get(name) as unknown).find((value) => value instanceof Map);
  const dictionary = (inner ?? root) as Map<unknown, unknown>;
  const views = [...dictionary].filter(
    (pair): pair is [string, TensorView] => typeof pair[0] === 'string' && isView(pair[1]),
  );
  if (views.length === 0) throw new UserError('holds no tensors; save model.state_dict()');
  // torch.nn.DataParallel names every parameter so.
  const parallel = views.every(([name]) => name.startsWith('module.'));
  return Object.fromEntries(
    views.map(([name, view]) => [
      parallel ? name.slice('module.'.length) : name,
      { shape: view.shape, dtype: view.storage.dtype, read: () => valuesOf(view, storageBytes) },
    ]),
  );
}

function valuesOf({ storage, offset, shape, strides }: TensorView, storageBytes: Contents['storageBytes']) {
  const size = bytesOf(storage.dtype)!;
  const bytes = storageBytes(storage);
  if (bytes.length !== storage.length * size)
    throw new UserError(`storage ${storage.key} has ${bytes.length} bytes, not ${storage.length} x ${size}`);
  const count = shape.reduce((product, n) => product * n, 1);
  let expected = 1;
  const dense = [...shape.keys()].reverse().every((i) => {
    const fits = shape[i] === 1 || strides[i] === expected;
    expected *= shape[i]!;
    return fits;
  });
  if (dense) return widen(storage.dtype, bytes.subarray(offset * size, (offset + count) * size));
  const whole = widen(storage.dtype, bytes);
  const values = new (whole.constructor as new (n: number) => typeof whole)(count);
  const index = shape.map(() => 0);
  for (let i = 0, from = offset; i < count; i++) {
    values[i] = whole[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return values;
}
