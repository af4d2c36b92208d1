/** What is read of the file system: regular files alone, and of those no more than expected. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readRegularFile, readRegularFileAsync, readRegularText } from '../../src/engine/node/readFile.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const limits = { maxBytes: 1000 };
const unix = process.platform !== 'win32';

/** Both ways of reading refuse the file in the same one line. */
async function refused(path: string, text: string, options = limits): Promise<void> {
  const line = `${path}: ${text}`;
  for (const read of [() => readRegularFile(path, options), () => readRegularFileAsync(path, options)]) {
    let message = 'nothing was thrown';
    try {
      await read();
    } catch (error) {
      assert.is((error as Error).name, 'UserError');
      ({ message } = error as Error);
    }
    assert.is(message, line);
  }
}

test('a regular file is read whole, through a link too, up to its limit', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'file');
  const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
  writeFileSync(path, content);
  symlinkSync('file', join(folder, 'link'));
  assert.equal(readRegularFile(join(folder, 'link'), limits), content);
  assert.equal(await readRegularFileAsync(path, limits), content);
  await refused(path, 'is larger than the 999 bytes that are read of such a file; check that it is the right one', {
    maxBytes: 999,
  });
  writeFileSync(path, 'größe');
  assert.is(readRegularText(path, limits), 'größe');
  writeFileSync(path, '');
  assert.is(readRegularFile(path, limits).length, 0);
});

test('anything but a regular file is refused in one line, and none of it is read', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'folder'));
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('loop', join(folder, 'loop'));
  await refused(join(folder, 'none'), 'there is no such file; check the name');
  await refused(join(folder, 'folder'), 'is a folder; name a file');
  await refused(join(folder, 'file', 'x'), 'a part of its path is a file; check the name');
  await refused(
    join(folder, 'loop'),
    'is a symbolic link that leads back to itself; name the file that it was meant for',
  );
  await refused(join(folder, 'x'.repeat(300)), 'its name is too long; check the name');
  if (!unix) return;
  symlinkSync('/dev/zero', join(folder, 'endless'));
  await refused(join(folder, 'endless'), 'is a device; name a regular file');
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await refused(join(folder, 'pipe'), 'is a named pipe; name a regular file');
  const server = createServer().listen(join(folder, 'socket'));
  await refused(join(folder, 'socket'), 'is neither a file nor a folder; name a regular file');
  server.close();
});

test('a pipe is read to its end where a stream makes sense, and no further than the limit', () => {
  if (!unix) return;
  const read = (bytes: number): string =>
    execFileSync(
      'bash',
      [
        '-c',
        `exec ${process.execPath} --import ${import.meta.resolve('tsx')} -e "$1" <(head -c ${bytes} /dev/zero)`,
        'bash',
        `import { readRegularFile } from '${new URL('../../src/engine/node/readFile.ts', import.meta.url).pathname}';
         try { console.log(readRegularFile(process.argv[1], { maxBytes: 300000, pipe: true }).length); }
         catch (error) { console.log(error.message.replace(/^\\S+ /, '')); }`,
      ],
      { encoding: 'utf8' },
    ).trim();
  assert.is(read(300000), '300000');
  assert.is(
    read(300001),
    'is larger than the 300000 bytes that are read of such a file; check that it is the right one',
  );
});

test('a file of unknown size is read to its end', () => {
  if (process.platform !== 'linux') return;
  assert.match(readRegularText('/proc/self/status', { maxBytes: 1e6 }), /^Name:.*^Pid:\s+\d+$/ms);
});

test.run();
