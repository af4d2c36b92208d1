/** What `--distributed` refuses before any process is joined; scripts/drill/distributed.ts runs real ones. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { temporaryFolder } from '../data/fixtures.ts';
import { rcnn } from './command.ts';

/** The one line on stderr of a command that fails. */
async function refused(...args: string[]): Promise<string> {
  const { code, stderr } = await rcnn(temporaryFolder(), ...args);
  assert.is(code, 1, stderr);
  assert.match(stderr, /^[^\n]+\n$/);
  return stderr.trim();
}

test('options of distributed commands need --distributed', async () => {
  for (const [option, ...value] of [
    ['--mpi-library', 'x.so'],
    ['--heartbeat-timeout', '9'],
    ['--allow-mixed-devices'],
  ] as const) {
    const line = await refused('train', option, ...value, '--out', '/nowhere/run');
    assert.is(line, `rcnn train: ${option}: is about several processes; add --distributed, or leave it out`);
  }
});

test('a library that is none, or not of MPI, is named', async () => {
  for (const library of ['/nowhere/libmpi.so', process.platform === 'darwin' ? 'libSystem.dylib' : 'libc.so.6']) {
    const line = await refused('eval', '--distributed', '--mpi-library', library, '--model', 'x', '--data', 'digits');
    assert.ok(line.startsWith(`rcnn eval: --mpi-library ${library}: is not an MPI library (`), line);
  }
});

test.run();
