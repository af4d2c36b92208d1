/** A sample of the commands with hostile inputs; `npm run drill -- --only hostile` runs all of them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { newProgram } from '../../src/cli/program.ts';
import { complaint, hostileCases, runHostile } from '../../scripts/drill/hostile.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const root = temporaryFolder();
const all = await hostileCases(root);

/** Of the cases that need no device. */
const ONE_IN = 60;

test('hostile inputs: exit code 1 and one line, and nothing is written', async () => {
  const sample = all.filter(({ device }) => !device).filter((_, i) => i % ONE_IN === 0);
  assert.ok(sample.length > 40, `${sample.length} cases`);
  assert.equal(await runHostile(root, sample), []);
});

test('every option of every command that takes a path is among the cases', async () => {
  const missing = newProgram().commands.flatMap((command) =>
    command.options
      // A library is code that is trusted, and may end the process.
      .filter(({ flags, long }) => /<\S*(file|dir|spec)/.test(flags) && long !== '--mpi-library')
      .filter(({ long }) => !all.some(({ args: [name, ...args] }) => name === command.name() && args.includes(long!)))
      .map(({ long }) => `${command.name()} ${long}`),
  );
  assert.equal(missing, []);
});

test('what a command must not do is found', () => {
  const right = { code: 1, stdout: '', stderr: 'rcnn eval: a.json: is empty; give another\n' } as const;
  const one = { args: ['eval'] };
  assert.is(complaint(one, right), null);
  for (const wrong of [
    { ...right, code: 0 },
    { ...right, code: 2 },
    { ...right, code: 'no end' },
    { ...right, stderr: '' },
    { ...right, stderr: right.stderr + right.stderr },
    { ...right, stderr: right.stderr.replace('a', '\u001b[31m') },
    { ...right, stdout: 'Error\n    at main (a.ts:1:1)\n' },
  ] as const) {
    assert.ok(complaint(one, wrong), JSON.stringify(wrong));
  }
  assert.is(complaint({ ...one, harmless: true }, { ...right, code: 0 }), null);
});

test.run();
