import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseSafetensors, serializeSafetensors, UserError } from '../../src/index.ts';
import { parseSafetensorsHeader } from '../../src/engine/safetensors.ts';
import { readSafetensorsHeader } from '../../src/engine/node/safetensorsFile.ts';
import { assertWritable, replaceFile } from '../../src/engine/node/writeFile.ts';
import { loadSafetensors, saveSafetensors } from '../../src/node.ts';
import { withFault } from '../faults.ts';
import { message, randomArray, sharedGpu, skip } from '../harness.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'safetensors-'));
test.after(() => rmSync(folder, { recursive: true }));

/** A file with this header, as text or as data of the header's JSON, and these bytes of tensors. */
function file(header: unknown, bytes: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const result = new Uint8Array(8 + text.length + bytes.length);
  new DataView(result.buffer).setBigUint64(0, BigInt(text.length), true);
  result.set(text, 8);
  result.set(bytes, 8 + text.length);
  return result;
}

const words = (values: number[]) => new Uint8Array(Uint16Array.from(values).buffer);

test('tensors of the GPU and of the CPU, and metadata, come back as they were', async () => {
  const gpu = await sharedGpu();
  const target = path.join(folder, 'round trip.safetensors');
  const weight = gpu.tensor(randomArray(2 * 3 * 5, 1), [2, 3, 5], 'weight');
  const labels = gpu.tensor(Int32Array.of(-1, 0, 2147483647), [3], 'labels');
  const stored = { shape: [0, 4], data: new Float32Array() };
  const extremes = { shape: [4], data: Float32Array.of(-0, 1e-45, 3.4028235e38, -Infinity) };
  const metadata = { step: '7', 'größe "x"\n': 'π' };
  await saveSafetensors(target, { 'a.weight': weight, labels, stored, extremes }, metadata);
  const loaded = await loadSafetensors(target);
  assert.equal(loaded.metadata, metadata);
  assert.equal(Object.keys(loaded.tensors), ['a.weight', 'labels', 'stored', 'extremes']);
  assert.equal(loaded.tensors['a.weight'], { shape: [2, 3, 5], data: await weight.read() });
  assert.equal(loaded.tensors['labels'], { shape: [3], data: Int32Array.of(-1, 0, 2147483647) });
  assert.equal(loaded.tensors['stored'], stored);
  assert.equal(new Int32Array(loaded.tensors['extremes']!.data.buffer), new Int32Array(extremes.data.buffer));
  assert.equal(readdirSync(folder), ['round trip.safetensors']);
  weight.dispose();
  labels.dispose();
});

test('the bytes are those of the format: header length, JSON, data aligned to 8 bytes', () => {
  const bytes = serializeSafetensors({ x: { shape: [2], data: Float32Array.of(1, -2) } }, { k: 'v' });
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  assert.is(length % 8, 0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  assert.equal(header, { __metadata__: { k: 'v' }, x: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } });
  assert.equal([...bytes.subarray(8 + length)], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
});

test('half floats widen to f32', () => {
  const bits = [0x3c00, 0xc000, 0x3555, 0x0001, 0x03ff, 0x7bff, 0x8000, 0x7c00, 0xfc00, 0x7e00];
  const { tensors } = parseSafetensors(
    file({ h: { dtype: 'F16', shape: [2, 5], data_offsets: [0, 20] } }, words(bits)),
    'f16',
  );
  const expected = [1, -2, 0.333251953125, 2 ** -24, 1023 * 2 ** -24, 65504, -0, Infinity, -Infinity, NaN];
  assert.equal(tensors['h']!.shape, [2, 5]);
  assert.ok(tensors['h']!.data instanceof Float32Array);
  expected.forEach((value, i) => assert.ok(Object.is(tensors['h']!.data[i], value), `${bits[i]!.toString(16)}`));
});

test('bfloat16 widens to f32, from an odd offset too', () => {
  const bits = [0x3f80, 0xc040, 0x3eab, 0x7f7f, 0x8000, 0x0001, 0xff80, 0x7fc0];
  const header = {
    first: { dtype: 'BF16', shape: [1], data_offsets: [0, 2] },
    b: { dtype: 'BF16', shape: [8], data_offsets: [2, 18] },
  };
  for (const padding of ['', ' ', '  ', '   ']) {
    const bytes = file(JSON.stringify(header) + padding, [...words([0x4000]), ...words(bits)]);
    const { data } = parseSafetensors(bytes, 'bf16').tensors['b']!;
    const expected = [1, -3, 0.333984375, 3.3895313892515355e38, -0, 2 ** -133, -Infinity, NaN];
    expected.forEach((value, i) => assert.ok(Object.is(data[i], value), `${bits[i]!.toString(16)}: ${data[i]}`));
  }
});

test('a file cut off anywhere is refused in one line that names it', async () => {
  const whole = serializeSafetensors({
    a: { shape: [3], data: Float32Array.of(1, 2, 3) },
    b: { shape: [2], data: Int32Array.of(4, 5) },
  });
  const target = path.join(folder, 'cut.safetensors');
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(target, whole.subarray(0, length));
    const text = await message(() => loadSafetensors(target));
    assert.ok(text.startsWith(`${target}: `) && text.includes('; it is cut off or not a safetensors file: '), text);
    assert.not.match(text, /\n/);
  }
  rmSync(target);
});

const ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
/** What `JSON.parse` takes and the format's own reader does not. */
const REFUSED_TEXTS = [
  `{"x":${ENTRY},"x":${ENTRY}}`,
  `{"x":${ENTRY},"\\u0078":${ENTRY}}`,
  '{"x":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}',
  `{"__metadata__":{},"__metadata__":{},"x":${ENTRY}}`,
  `{"__metadata__":{"a":"1","a":"2"},"x":${ENTRY}}`,
  '{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}',
  '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,0.4e1]}}',
  '{"x":{"dtype":"F32","shape":[1],"data_offsets":[-0,4]}}',
  `{"\\ud800":${ENTRY}}`,
  ` {"x":${ENTRY}}`,
  `\ufeff{"x":${ENTRY}}`,
];

test('a header that lies is refused in one line that names the file', async () => {
  const x = (entry: object) => ({ x: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...entry } });
  const headers: unknown[] = [
    'no JSON',
    'null',
    '7',
    '[]',
    '"text"',
    { x: null },
    { x: 5 },
    { x: {} },
    x({ shape: 'square' }),
    x({ shape: [2] }),
    x({ shape: [-1], data_offsets: [4, 0] }),
    x({ shape: [0.5], data_offsets: [0, 2] }),
    x({ shape: [-1, -1] }),
    x({ shape: ['1'] }),
    x({ data_offsets: undefined }),
    x({ data_offsets: [0] }),
    x({ data_offsets: [-4, 0] }),
    x({ data_offsets: [4, 8] }),
    x({ data_offsets: [0.5, 4.5] }),
    x({ data_offsets: ['0', '4'] }),
    x({ shape: [2 ** 40], data_offsets: [0, 2 ** 42] }),
    x({ dtype: undefined }),
    { ...x({}), y: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, // both have the same bytes
    { x: { dtype: 'F16', shape: [1], data_offsets: [2, 4] } }, // no tensor has the first two
    { x: { dtype: 'F16', shape: [1], data_offsets: [0, 2] } }, // nor the last two
    { ...x({}), __metadata__: { step: 5 } },
    { ...x({}), __metadata__: 'text' },
    ...REFUSED_TEXTS,
  ];
  for (const header of headers) {
    const text = await message(() => parseSafetensors(file(header, [0, 0, 0, 0]), 'some.file'));
    assert.match(
      text,
      /^some\.file: .*; it is cut off or not a safetensors file: restore or recreate it$/,
      JSON.stringify(header),
    );
  }
  const huge = file({});
  new DataView(huge.buffer).setBigUint64(0, 2n ** 63n, true);
  assert.match(await message(() => parseSafetensors(huge, 'some.file')), /^some\.file: its header claims/);
  const wide = file(x({ dtype: 'U64', data_offsets: [0, 8] }), [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.is(
    await message(() => parseSafetensors(wide, 'some.file')),
    'some.file: tensor x is U64; F64, F32, F16, BF16, I32, I64 are read: convert it or leave it out',
  );
});

test('a header that is not UTF-8 or longer than the format allows is refused', async () => {
  const latin = file(`{"?":${ENTRY}}`, [0, 0, 0, 0]);
  latin[8 + 2] = 0xe9;
  assert.match(await message(() => parseSafetensors(latin, 'some.file')), /^some\.file: its header is not UTF-8; /);
  const long = new Uint8Array(8);
  new DataView(long.buffer).setBigUint64(0, 100_000_001n, true);
  const expected = /^some\.file: its header has 100000001 bytes, more than 100000000; /;
  assert.match(await message(() => parseSafetensorsHeader(long, 'some.file', 200_000_000)), expected);
});

test('names that objects have by themselves, and names that look like parts of JSON, are names', () => {
  const names = ['__proto__', 'constructor', '{"a":1,"a":2}', '\\"', '7', 'größe 😀'];
  const data = (i: number) => ({ shape: [1], data: Float32Array.of(i) });
  const given = Object.fromEntries(names.map((name, i) => [name, data(i)]));
  const metadata = JSON.parse('{"__proto__":"p","constructor":"c"}') as Record<string, string>;
  const { tensors, metadata: found } = parseSafetensors(serializeSafetensors(given, metadata), 'names');
  assert.equal(Object.keys(tensors).sort(), [...names].sort());
  names.forEach((name, i) => assert.equal(Object.getOwnPropertyDescriptor(tensors, name)!.value, data(i)));
  assert.equal(Object.entries(found), Object.entries(metadata));
});

test('any change of a byte gives a file that holds together, or one line', () => {
  const whole = serializeSafetensors(
    { a: { shape: [2, 3], data: randomArray(6, 1) }, b: { shape: [2], data: Int32Array.of(4, 5) } },
    { step: '7' },
  );
  const change = fc.record({
    at: fc.nat(whole.length - 1),
    kind: fc.constantFrom('set', 'drop', 'double'),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(...'0129{}[],:"-.e\\'.split('').map((c) => c.charCodeAt(0)))),
  });
  const property = fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
    let bytes: Uint8Array = whole.slice();
    for (const { at, kind, byte } of changes) {
      const from = Math.min(at, bytes.length);
      if (kind === 'set' && from < bytes.length) bytes[from] = byte;
      const tail = bytes.subarray(from + (kind === 'drop' ? 1 : 0));
      if (kind !== 'set')
        bytes = Uint8Array.from([...bytes.subarray(0, from), ...(kind === 'double' ? [byte] : []), ...tail]);
    }
    let parsed;
    try {
      parsed = parseSafetensors(bytes, 'some.file');
    } catch (error) {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, /^some\.file: [^\n]*$/);
      return;
    }
    const size = Object.values(parsed.tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
    assert.ok(size <= 2 * whole.length);
    for (const { shape, data } of Object.values(parsed.tensors))
      assert.is(
        data.length,
        shape.reduce((a, b) => a * b, 1),
      );
  });
  fc.assert(property, { numRuns: 4000 });
});

test('a file of PyTorch’s is recognised as one', async () => {
  const advice = 'loadWeights reads it, and --init does';
  const refused = (...bytes: number[]) => message(() => parseSafetensors(Uint8Array.from(bytes), 'x.pth'));
  // A zip archive's first entry; the pickle of PyTorch's magic number, 0x1950a86a20f9469cfc6c.
  const zip = await refused(0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0);
  assert.is(zip, `x.pth: is a PyTorch file (.pth) or another zip archive; ${advice}`);
  const pickle = await refused(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e);
  assert.is(pickle, `x.pth: is a PyTorch file (.pth); ${advice}`);
});

test('long integers become i32', () => {
  const header = { steps: { dtype: 'I64', shape: [2], data_offsets: [0, 16] } };
  const bytes = new Uint8Array(BigInt64Array.of(7n, -2n).buffer);
  assert.equal(parseSafetensors(file(header, [...bytes]), 'x').tensors['steps']!.data, Int32Array.of(7, -2));
});

test('doubles are rounded to f32', () => {
  const values = Float64Array.of(1 / 3, -0, 1e300);
  const header = { d: { dtype: 'F64', shape: [3], data_offsets: [0, 24] } };
  const { tensors } = parseSafetensors(file(header, new Uint8Array(values.buffer)), 'f64');
  assert.equal(tensors['d']!.data, Float32Array.from(values));
});

test('the header alone is read, or refused, as with the tensors', async () => {
  const target = path.join(folder, 'header.safetensors');
  await saveSafetensors(target, { x: { shape: [2], data: Float32Array.of(1, 2) } }, { k: 'v' });
  const { entries, metadata } = readSafetensorsHeader(target);
  assert.equal([entries['x']!.shape, metadata['k']], [[2], 'v']);
  assert.match(metadata['webgpu-rcnn sha256']!, /^[0-9a-f]{64}$/);
  assert.equal((await loadSafetensors(target)).metadata, { k: 'v' });
  const whole = readFileSync(target);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(target, whole.subarray(0, length));
    assert.is(await message(() => readSafetensorsHeader(target)), await message(() => loadSafetensors(target)));
  }
  rmSync(target);
});

test('a missing file is named', async () => {
  const target = path.join(folder, 'absent.safetensors');
  assert.is(await message(() => loadSafetensors(target)), `${target}: there is no such file; check the name`);
});

const tensors = { x: { shape: [1], data: Float32Array.of(1) } };

test('a write that fails leaves the old file and no other', async () => {
  const target = path.join(folder, 'model.safetensors');
  await saveSafetensors(target, tensors);
  const before = readFileSync(target);
  const full = 'the disk is full; free some space and run the command again';
  const broken = "EIO: a fault of the test's; choose another place";
  for (const [call, code, why] of [
    ['writeSync', 'ENOSPC', full],
    ['fsyncSync', 'EDQUOT', full],
    ['fsyncSync', 'EIO', broken],
    ['renameSync', 'EIO', broken],
  ] as const) {
    const larger = { x: { shape: [2], data: Float32Array.of(5, 6) } };
    const text = await withFault(call, code, () => message(() => saveSafetensors(target, larger)));
    assert.is(text, `${target}: could not be written, ${why}`);
    assert.equal(readFileSync(target), before);
    assert.equal(
      readdirSync(folder).filter((name) => name.startsWith('model')),
      ['model.safetensors'],
    );
  }
});

test('a device is written to, and stays what it is', () => {
  if (!existsSync('/dev/null')) return skip('this system has no /dev/null');
  const link = path.join(folder, 'device');
  symlinkSync('/dev/null', link);
  assertWritable(link);
  replaceFile(link, 'text');
  assert.ok(lstatSync(link).isSymbolicLink());
  rmSync(link);
});

test('a missing folder is made; an obstacle is reported in one line, beforehand too', async () => {
  const made = path.join(folder, 'a', 'b', 'model.safetensors');
  assertWritable(made);
  assert.not.ok(existsSync(path.join(folder, 'a')));
  await saveSafetensors(made, tensors);
  assert.equal(Object.keys((await loadSafetensors(made)).tensors), ['x']);
  const below = path.join(made, 'c', 'model.safetensors');
  const cases = [
    [path.join(made, 'model.safetensors'), 'a part of its path is a file; choose another place'],
    [below, 'a part of its path is a file; choose another place'],
    [folder, 'there is a folder of this name; choose another name'],
  ] as const;
  for (const [target, why] of cases) {
    const expected = `${target}: could not be written, ${why}`;
    assert.is(await message(() => saveSafetensors(target, tensors)), expected);
    assert.is(await message(async () => assertWritable(target)), expected);
  }
  rmSync(path.join(folder, 'a'), { recursive: true });
  assert.equal(
    readdirSync(path.dirname(folder)).filter((name) => name.startsWith(path.basename(folder))),
    [path.basename(folder)],
  );
});

test.run();
