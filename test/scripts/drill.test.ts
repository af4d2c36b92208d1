/** The drill in its short form: one kill in the middle of a write, two at random, a lost device. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Drill, killAtCalls, killAtRandom, leaveAlone, loseDevice } from '../../scripts/drill/kills.ts';
import { tinyTraining } from '../../scripts/drill/runs.ts';
import { temporaryFolder } from '../data/fixtures.ts';

test('a training that is killed or loses its device ends with the bits of an undisturbed one', async () => {
  const run = [...tinyTraining(4), '--checkpoint-every', '2'];
  const drill: Drill = { folder: temporaryFolder(), log() {} };
  const reference = await leaveAlone(run, drill, 'checkpoint.safetensors');
  const calls = reference.calls.map((call) => call.split(' /')[0]);
  // The first open of all finds no run directory, which is then made.
  assert.equal(calls, ['open', ...[1, 2].flatMap(() => ['open', 'write', 'fsync', 'rename', 'after rename'])]);
  assert.is(await killAtCalls(run, reference, drill, (_, index) => index === calls.lastIndexOf('write')), 1);
  assert.ok((await killAtRandom(run, reference, drill, 2)) >= 1);
  // Submits come before the first step too, for its shaders; the last ones belong to the second checkpoint.
  const [said] = await loseDevice(run, { ...reference, submits: 2 * reference.submits - 2 }, drill, 1);
  assert.match(said!, /; the checkpoint of step 2 is whole, continue with: rcnn train --resume --out /);
});

test.run();
