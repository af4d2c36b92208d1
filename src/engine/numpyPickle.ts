/**
 * Pickles of numpy arrays in dictionaries, as detectron2's model zoo publishes weights (.pkl): {'model': {name: array}, ...}.
 * No code of a file is ever run: of all names, those from which numpy builds an array, its type and a number are known, and
 * every other is refused. The values of an array must lie in the file byte for byte.
 */
import { inOneLine, UserError } from './errors.ts';
import { type PickledName, unpickle } from './pickle.ts';
import { bytesOf, type StoredTensor, widen } from './safetensors.ts';

/** An array of a file whose values have not been read yet. */
export interface NumpyEntry {
  shape: number[];
  /** As safetensors calls it. */
  dtype: string;
  read(): StoredTensor['data'];
}

/** numpy's types, as safetensors calls them. */
const TYPES: Readonly<Record<string, string>> = {
  f8: 'F64',
  f4: 'F32',
  f2: 'F16',
  i8: 'I64',
  i4: 'I32',
  i2: 'I16',
  i1: 'I8',
  u1: 'U8',
  b1: 'BOOL',
};

class NumpyType {
  readonly code: string;
  bigEndian = false;
  constructor(code: string) {
    this.code = code;
  }
}

class NumpyArray {
  shape: number[] = [];
  type: NumpyType | null = null;
  bytes: Uint8Array = new Uint8Array();
}

/** Whether bytes begin as a pickle of protocol 2 to 5 does, and not as PyTorch's files or safetensors do. */
export const isNumpyPickle = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x80 &&
  bytes[1]! >= 2 &&
  bytes[1]! <= 5 &&
  bytes[8] !== 0x7b &&
  !(bytes[2] === 0x8a && bytes[3] === 0x0a);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const ARRAY: PickledName = { name: 'numpy.ndarray' };
const NAMES = new Map<string, PickledName>();
for (const module of ['numpy.core.multiarray', 'numpy._core.multiarray']) {
  NAMES.set(`${module}._reconstruct`, {
    name: `${module}._reconstruct`,
    call: ([type]) => {
      if (type !== ARRAY) throw new Error('it rebuilds something that is no numpy array');
      return new NumpyArray();
    },
  });
  // A single number, such as the iteration: its value is of no use here.
  NAMES.set(`${module}.scalar`, { name: `${module}.scalar`, call: () => null });
}
// Arrays in protocol 5: the bytes, their type, the shape, and the order of the axes.
for (const module of ['numpy.core.numeric', 'numpy._core.numeric']) {
  NAMES.set(`${module}._frombuffer`, {
    name: `${module}._frombuffer`,
    call: ([bytes, type, shape, order]) => filled(new NumpyArray(), shape, type, order === 'F', bytes),
  });
}
// Bytes in protocol 2, which has texts alone: a letter for each.
NAMES.set('_codecs.encode', {
  name: '_codecs.encode',
  call: ([text, encoding]) => {
    if (typeof text !== 'string' || encoding !== 'latin1') throw new Error('it has a text that is not well-formed');
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  },
});
NAMES.set('numpy.ndarray', ARRAY);
NAMES.set('numpy.dtype', {
  name: 'numpy.dtype',
  call: ([code]) => {
    if (typeof code !== 'string') throw new Error('it has a number type that is not well-formed');
    return new NumpyType(code.replace(/^[<=|]/, ''));
  },
});

function find(name: string): PickledName {
  const known = NAMES.get(name);
  if (known) return known;
  throw new UserError(
    `holds ${name}, and of a pickle only numpy arrays in dictionaries are read; save its arrays as safetensors`,
  );
}

/** What Python calls __setstate__. */
function build(target: unknown, state: unknown): void {
  if (!Array.isArray(state)) throw new Error('its pickle is damaged');
  if (target instanceof NumpyType) {
    target.bigEndian = state[1] === '>';
    return;
  }
  if (!(target instanceof NumpyArray)) throw new Error('its pickle is damaged');
  const [, shape, type, fortran, bytes] = state as unknown[];
  filled(target, shape, type, fortran === true, bytes);
}

function filled(array: NumpyArray, shape: unknown, type: unknown, fortran: boolean, bytes: unknown): NumpyArray {
  const whole =
    Array.isArray(shape) && shape.every(isCount) && type instanceof NumpyType && bytes instanceof Uint8Array;
  if (!whole) throw new UserError('holds an array of objects, which are not read; save its arrays as safetensors');
  if (fortran && shape.filter((n) => n > 1).length > 1)
    throw new UserError("holds an array in Fortran's order; save it again after numpy.ascontiguousarray");
  return Object.assign(array, { shape: [...shape], type, bytes }); // a pickle may go on to change its list
}

/** The arrays of a file by name: those of its dictionary, or of `model` in it. Throws a UserError that starts with `source`. */
export const numpyEntries = (bytes: Uint8Array, source: string): Record<string, NumpyEntry> =>
  inOneLine(
    source,
    () => entriesOf(unpickle(bytes, 0, { find, persistent: noPersistent, build }).value),
    (message) => `${message}; it is cut off or damaged: fetch it again`,
  );

/** The values of every array of a file, floats of any width in float32. */
export const parseNumpyPickle = (bytes: Uint8Array, source: string): Record<string, StoredTensor> =>
  Object.fromEntries(
    Object.entries(numpyEntries(bytes, source)).map(([name, { shape, read }]) => [name, { shape, data: read() }]),
  ) as Record<string, StoredTensor>;

function noPersistent(): never {
  throw new Error('it refers to data outside of it');
}

function entriesOf(root: unknown): Record<string, NumpyEntry> {
  if (!(root instanceof Map)) throw new UserError('holds no dictionary of arrays');
  const inner: unknown = root.get('model') ?? root.get('blobs');
  const arrays = [...((inner instanceof Map ? inner : root) as Map<unknown, unknown>)].filter(
    (pair): pair is [string, NumpyArray] => typeof pair[0] === 'string' && pair[1] instanceof NumpyArray,
  );
  if (arrays.length === 0) throw new UserError('holds no numpy arrays');
  return Object.fromEntries(arrays.map(([name, array]) => [name, entryOf(name, array)]));
}

function entryOf(name: string, { shape, type, bytes }: NumpyArray): NumpyEntry {
  const dtype = TYPES[type?.code ?? ''];
  const size = dtype === undefined ? undefined : bytesOf(dtype);
  if (dtype === undefined || size === undefined)
    throw new UserError(
      `array ${name} is of numpy's type ${type?.code ?? 'object'}, which is not read; convert it to float`,
    );
  if (type!.bigEndian)
    throw new UserError(`array ${name} is big-endian; save it again on the machine that will read it`);
  const count = shape.reduce((product, n) => product * n, 1);
  if (bytes.length !== count * size) throw new Error(`array ${name} has ${bytes.length} bytes, not ${count} x ${size}`);
  return { shape, dtype, read: () => widen(dtype, bytes) };
}
