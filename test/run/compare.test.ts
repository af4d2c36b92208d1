/** `rcnn compare`: what it reads of runs, and what it shows. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareRuns, evaluationOf } from '../../src/run/reports/compareRuns.ts';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { rcnn } from '../cli/command.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const LOSSES = { rpn_cls: 0.1, rpn_box: 0.1, head_cls: 0.1, head_box: 0.1 };

/** A run as training leaves it, without a checkpoint: two validations of the given mAP. */
async function run(path: string, choices: RunChoices, mAPs: readonly number[]): Promise<RunDirectory> {
  const { config } = await configureRun({ preset: 'demo', ...choices });
  const directory = new RunDirectory(path);
  directory.create(config);
  mAPs.forEach((mAP, i) => {
    const step = 10 * (i + 1);
    directory.appendMetrics({ ...LOSSES, step, lr: 0.005, loss: 2 - mAP, seconds: i, data_seconds: 0 });
    directory.appendValidation({
      ...LOSSES,
      step,
      mAP,
      ap: { cat: mAP, '<dog>': null },
      loss: 1,
      images: 3,
      seconds: 1,
    });
  });
  return directory;
}

test('runs are laid side by side: settings that differ, losses, validation, evaluation', async () => {
  const folder = temporaryFolder();
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  await run(one, { seed: 1 }, [0.2, 0.5, 0.4]);
  await run(two, { seed: 2, set: ['detector.rpn.lambda=3'] }, []);
  const report = {
    mAP: 0.75,
    curves: [{ name: 'cat', ap: 0.75 }],
    bySize: { small: { mAP: null }, large: { mAP: 0.8 } },
  };
  mkdirSync(dirname(evaluationOf(two)));
  writeFileSync(evaluationOf(two), JSON.stringify({ ...report, stages: { head: 12.34 } }));
  const tables = Object.fromEntries(compareRuns([one, two]).tables.map(({ title, rows }) => [title, rows]));
  assert.equal(tables, {
    'Settings that differ': [
      ['detector.rpn.lambda', '1', '3'],
      ['training.seed', '1', '2'],
    ],
    Training: [['loss', '1.600', '']],
    Validation: [
      ['mAP', '0.4000', ''],
      ['best mAP', '0.5000', ''],
      ['at step', '20', ''],
      ['loss', '1.000', ''],
      ['AP cat', '0.5000', ''],
    ],
    Evaluation: [
      ['mAP', '', '0.7500'],
      ['AP cat', '', '0.7500'],
      ['mAP large', '', '0.8000'],
      ['ms head', '', '12.3'],
    ],
  });

  const { code, stdout, stderr } = await rcnn(folder, 'compare', 'one', 'two', '--report', 'compared.html');
  assert.is(code, 0, stderr);
  assert.match(stdout, /^ +Settings that differ +one +two\n +detector\.rpn\.lambda +1 +3\n/);
  const page = readFileSync(join(folder, 'compared.html'), 'utf8');
  assert.match(page, /<h2>Settings that differ<\/h2>/);
  assert.match(page, /<figcaption>Validation<\/figcaption>/);
  assert.not.match(page, /<script|https?:\/\/|src=/);
});

test('what cannot be compared is one line', async () => {
  const folder = temporaryFolder();
  await run(join(folder, 'one'), {}, []);
  mkdirSync(join(folder, 'none'));
  const refused = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await rcnn(folder, 'compare', ...args);
    assert.is(code, 1, stderr);
    return stderr;
  };
  assert.is(await refused('one'), 'rcnn compare: one: is a single run; name another to compare it with\n');
  assert.match(
    await refused('one', 'none'),
    /^rcnn compare: none\/config\.json: there is no such file; none is not a run/,
  );
  assert.match(await refused('one', 'one', '--report', 'one/config.json'), /this command reads it/);
  mkdirSync(join(folder, 'one', 'report'));
  writeFileSync(join(folder, 'one', 'report', 'report.json'), '{}');
  assert.match(await refused('one', 'one'), /report\.json: is not a report of 'rcnn eval --report'; write it again/);
});

test.run();
