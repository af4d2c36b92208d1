/** PyTorch's files: what torch.save writes is read, and nothing of it is ever run (scripts/goldens/pytorch_files.py). */
import { readFileSync } from 'node:fs';
import { zipSync, unzipSync } from 'fflate';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { parsePytorch, pytorchEntries } from '../../src/engine/pytorchFile.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/pytorch-files.json', import.meta.url), 'utf8'));
const file = (name: string): Uint8Array => new Uint8Array(Buffer.from(golden.files[name], 'base64'));
const read = (name: string) => parsePytorch(file(name), 'x.pth');
const message = (bytes: Uint8Array): string => {
  try {
    parsePytorch(bytes, 'x.pth');
  } catch (error) {
    assert.instance(error, UserError);
    assert.not.match((error as Error).message, '\n');
    return (error as Error).message;
  }
  throw new Error('was read');
};
const floats = (rows: number[][]): number[] => rows.flat().map(Math.fround);

for (const name of ['state', 'legacy state', 'inside', 'parallel']) {
  test(`a state dict: ${name}`, () => {
    const tensors = read(name);
    assert.equal(Object.keys(tensors), ['a.weight', 'a.bias', 'a.num_batches_tracked']);
    assert.equal(tensors['a.weight']!.shape, [2, 3]);
    assert.equal([...tensors['a.weight']!.data], floats(golden.expected['a.weight']));
    assert.equal([...tensors['a.bias']!.data], [1.5, -2, 0.25]);
    assert.equal(tensors['a.num_batches_tracked'], { shape: [], data: Int32Array.of(7) });
  });
}

for (const name of ['views', 'legacy views']) {
  test(`tensors that share a storage: ${name}`, () => {
    const { turned, part, steps, one, none } = read(name);
    assert.equal(turned!.shape, [6, 4]);
    assert.equal(
      [...turned!.data],
      Array.from({ length: 24 }, (_, i) => (i % 4) * 6 + Math.floor(i / 4)),
    );
    assert.equal([...part!.data], [5, 6, 7, 8, 9, 10]);
    assert.equal([...steps!.data], [0, 5, 10, 15, 20]);
    assert.equal([one!.shape, ...one!.data], [[], 3.5]);
    assert.equal([none!.shape, none!.data.length], [[0], 0]);
  });
}

test('halves, brain floats and doubles become floats; a parameter is its tensor', () => {
  const tensors = read('halves');
  for (const name of ['half', 'brain', 'double']) {
    assert.equal([...tensors[name]!.data], floats(golden.expected.halves[name]), name);
  }
  assert.equal([...read('parameter')['p']!.data], floats(golden.expected['a.weight']));
});

test('what is not tensors in dictionaries is refused in one line', () => {
  const save = "save its weights alone: torch.save(model.state_dict(), 'weights.pth')";
  assert.match(
    message(file('module')),
    /^x\.pth: is a whole pickled model \(it names torch\.nn\.modules\.\S+\), which only its own code can read; save /,
  );
  assert.is(
    message(file('arguments')),
    `x.pth: holds argparse.Namespace, and only tensors in dictionaries are read; ${save}`,
  );
  assert.is(message(file('quantised')), 'x.pth: holds quantised tensors; save the weights before quantisation');
  assert.is(message(file('list')), 'x.pth: holds no dictionary of tensors; save model.state_dict()');
  assert.is(message(file('nothing')), 'x.pth: holds no tensors; save model.state_dict()');
  assert.match(message(file('bytes')), /^x\.pth: tensor mask is BOOL, which is not read; /);
  assert.match(
    message(zipSync({ 'letter.txt': new Uint8Array(3) })),
    /^x\.pth: is a zip archive, but not one that torch\.save writes$/,
  );
});

test('no name is called that is not listed: a pickle that would run a command does nothing', () => {
  const entries = unzipSync(file('state'));
  const name = Object.keys(entries).find((entry) => entry.endsWith('data.pkl'))!;
  // cos\nsystem\n(X\x04\0\0\0exittR.
  const command = new TextEncoder().encode('\x80\x02cos\nsystem\n(X\x04\0\0\0exittR.');
  command[0] = 0x80;
  const bytes = Uint8Array.from([0x80, ...command.slice(command.indexOf(2))]);
  const text = message(zipSync({ ...entries, [name]: bytes }, { level: 0 }));
  assert.match(text, /^x\.pth: holds os\.system, and only tensors in dictionaries are read; /);
});

test('sizes are checked before anything is unpacked', () => {
  const bomb = zipSync({ 'archive/data.pkl': new Uint8Array(10), 'archive/data/0': new Uint8Array(5e7) }, { level: 9 });
  assert.ok(bomb.length < 1e5);
  assert.match(
    message(bomb),
    /^x\.pth: is an archive of \d+ bytes that would unpack to 50000010, which PyTorch never writes: it was not unpacked$/,
  );
  // A storage whose entry is shorter than it says, and one that is not there.
  const entries = unzipSync(file('state'));
  const [pickle, storage] = ['data.pkl', 'data/0'].map((end) =>
    Object.keys(entries).find((name) => name.endsWith(end))!,
  );
  const short = zipSync({ ...entries, [storage!]: new Uint8Array(8) }, { level: 0 });
  assert.match(message(short), /^x\.pth: storage 0 has 8 bytes, not 6 x 4$/);
  const alone = zipSync({ [pickle!]: entries[pickle!]! }, { level: 0 });
  assert.match(message(alone), /^x\.pth: it lacks the storage 0; /);
});

test('cut off or damaged anywhere: one line, never another error', () => {
  for (const name of ['state', 'legacy state']) {
    const bytes = file(name);
    const property = fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
      assert.match(message(bytes.subarray(0, at)), /^x\.pth: /);
      const damaged = bytes.slice();
      damaged[at] = value;
      try {
        pytorchEntries(damaged, 'x.pth');
        parsePytorch(damaged, 'x.pth');
      } catch (error) {
        assert.instance(error, UserError, String((error as Error).stack));
      }
    });
    fc.assert(property, { numRuns: 600 });
  }
});

test.run();
