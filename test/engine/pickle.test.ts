/** Pickles that no program writes: what they are read as is bounded by their size, and what was checked stays as it was. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { parseNumpyPickle } from '../../src/engine/numpyPickle.ts';
import { unpickle } from '../../src/engine/pickle.ts';

/** The operations of a pickle: numbers are bytes, texts their own bytes. */
const pickled = (...parts: (number | string)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...Buffer.from(part, 'latin1')])));
/** SHORT_BINUNICODE */
const text = (value: string): (number | string)[] => [0x8c, value.length, value];
const [PUT, GET, TUPLE2] = [0x71, 0x68, 0x86];

test('a name is a text: lists of lists of lists, which would take 2^60 letters, are refused at once', () => {
  const doubled = Array.from({ length: 60 }, (_, i) => [PUT, i, GET, i, TUPLE2]).flat();
  const bytes = pickled(0x80, 4, ...text('a'), ...doubled, ...text('name'), 0x93, '.');
  const rules = { find: () => assert.unreachable() as never, persistent: () => null };
  assert.throws(() => unpickle(bytes, 0, rules), /^its pickle is damaged$/);
});

/** pickle.dumps({'model': {'a': numpy.arange(6, dtype=numpy.float32).reshape(2, 3) / 4}}, protocol=...) of numpy 2.4 */
const ARRAYS = {
  2: 'gAJ9cQBYBQAAAG1vZGVscQF9cQJYAQAAAGFxA2NudW1weS5fY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxBGNudW1weQpuZGFycmF5CnEFSwCFcQZjX2NvZGVjcwplbmNvZGUKcQdYAQAAAGJxCFgGAAAAbGF0aW4xcQmGcQpScQuHcQxScQ0oSwFLAksDhnEOY251bXB5CmR0eXBlCnEPWAIAAABmNHEQiYiHcRFScRIoSwNYAQAAADxxE05OTkr/////Sv////9LAHRxFGKJaAdYGwAAAAAAAAAAAMKAPgAAAD8AAEA/AADCgD8AAMKgP3EVaAmGcRZScRd0cRhic3Mu',
  5: 'gAWVoAAAAAAAAAB9lIwFbW9kZWyUfZSMAWGUjBNudW1weS5fY29yZS5udW1lcmljlIwLX2Zyb21idWZmZXKUk5QolhgAAAAAAAAAAAAAAAAAgD4AAAA/AABAPwAAgD8AAKA/lIwFbnVtcHmUjAVkdHlwZZSTlIwCZjSUiYiHlFKUKEsDjAE8lE5OTkr/////Sv////9LAHSUYksCSwOGlIwBQ5R0lFKUc3Mu',
};

for (const [protocol, base64] of Object.entries(ARRAYS)) {
  test(`arrays in protocol ${protocol}, the oldest and the newest that Python's pickle writes today; 3 and 4 are a golden`, () => {
    const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
    const a = { shape: [2, 3], data: Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25) };
    assert.equal(parseNumpyPickle(bytes, 'a.pkl'), { a });
    for (let length = 2; length < bytes.length; length++) {
      assert.throws(
        () => parseNumpyPickle(bytes.subarray(0, length), 'a.pkl'),
        (error: unknown) => error instanceof UserError,
      );
    }
  });
}

test('the shape of an array is that which was checked, whatever becomes of the list in the pickle', () => {
  const array = [0x63, 'numpy._core.multiarray\n_reconstruct\n', 0x63, 'numpy\nndarray\n', 0x85, 0x52, PUT, 1];
  const type = [0x63, 'numpy\ndtype\n', ...text('f4'), 0x85, 0x52];
  const shape = [0x5d, PUT, 2, 0x4b, 1, 0x61];
  const built = [...array, 0x28, 0x4b, 1, ...shape, ...type, 0x89, 0x43, 4, 0, 0, 0x80, 0x3f, 0x74, 0x62];
  // {'a': the array, 'b': its list, to which a text is added}
  const added = [GET, 2, ...text('2'), 0x61];
  const bytes = pickled(0x80, 4, 0x7d, 0x28, ...text('a'), ...built, ...text('b'), ...added, 0x75, '.');
  assert.equal(parseNumpyPickle(bytes, 'a.pkl'), { a: { shape: [1], data: Float32Array.of(1) } });
  assert.throws(
    () => parseNumpyPickle(bytes.subarray(0, 60), 'a.pkl'),
    (error: unknown) => error instanceof UserError,
  );
});

test.run();
