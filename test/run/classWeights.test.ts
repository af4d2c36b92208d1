/** Weights of classes in the loss of the detection head. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { userError } from '../data/fixtures.ts';
import { checkpointBits, tinyRun, trainHere } from './tinyRun.ts';

test('weights change what is learnt; names that are not classes are refused', async () => {
  const bits = async (weights: Record<string, number>) => {
    const run = await tinyRun({ steps: 2 });
    run.config.detector.head = { ...run.config.detector.head, classWeights: weights };
    return checkpointBits((await trainHere(run)).directory);
  };
  const [plain, weighted] = [await bits({}), await bits({ __background__: 0.2, 7: 5 })];
  assert.is.not(plain['fc6.weight'], weighted['fc6.weight']);
  assert.equal(weighted, await bits({ __background__: 0.2, 7: 5 }));
  const wrong = (value: string) =>
    userError(configureRun({ preset: 'demo', set: [`detector.head.classWeights=${value}`] }));
  assert.match(
    await wrong('{"seven":2}'),
    /detector.head.classWeights.seven: is none of the classes __background__, 0, 1, /,
  );
  assert.match(await wrong('{"7":0}'), /detector.head.classWeights.7: must be above 0, not 0$/);
});

test.run();
