/** The replay of the paper's experiments: its plan holds together, and its report says what was measured. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EXPERIMENTS, VARIANTS } from '../../experiments/plan.ts';
import { plotExperiments } from '../../experiments/plot.ts';
import { type Result, testName } from '../../experiments/replay.ts';
import { measured, report } from '../../experiments/report.ts';
import { saveSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { withSettings } from '../../src/run/config/configSchema.ts';
import { configureRun, detectorFor } from '../../src/run/config/runConfig.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const rows = EXPERIMENTS.flatMap((experiment) => experiment.rows);

test("the paper's figures are the paper's", () => {
  const golden = JSON.parse(readFileSync(new URL('../golden/paper_numbers.json', import.meta.url), 'utf8'));
  const tables: Record<string, string> = {
    sharing: 'table2_zf_voc07',
    systems: 'table2_zf_voc07',
    anchors: 'table8_anchors_vgg_voc07',
    lambda: 'table9_lambda_vgg_voc07',
    stages: 'table10_zf_voc07',
    proposals: 'table2_zf_voc07',
  };
  for (const { id, rows } of EXPERIMENTS) {
    const printed = JSON.stringify(golden[tables[id]!])
      .match(/[\d.]+/g)!
      .map(Number);
    for (const { label, paper } of rows) assert.ok(paper === undefined || printed.includes(paper), `${id}, ${label}`);
  }
});

test('every row has its network, and every setting exists', async () => {
  const init = join(temporaryFolder(), 'weights.safetensors');
  await saveSafetensors(init, {});
  for (const { schedule = 'joint', set = [], proposals, init: from } of VARIANTS) {
    const given = { ...(proposals && { proposals: 'boxes.csv' }), ...(from !== undefined && { init }) };
    detectorFor({ preset: 'demo', schedule, set, ...given }, ['__background__', 'one']);
    assert.ok(from === undefined || VARIANTS.some(({ id }) => id === from), from);
  }
  const { config } = await configureRun({ preset: 'demo' });
  for (const { variant, set = [] } of rows) {
    assert.ok(
      VARIANTS.some(({ id }) => id === variant),
      variant,
    );
    withSettings(config, set);
  }
  assert.equal(
    VARIANTS.filter(({ id }) => !rows.some(({ variant }) => variant === id)),
    [],
  );
});

test('the report: mean and range of the seeds, what was not run, and where the order differs from the paper', () => {
  const settings = { out: temporaryFolder(), steps: 5, seeds: 2, images: 3 };
  const write = (variant: string, seed: number, mAP: number) => {
    const folder = join(settings.out, variant, `seed-${seed}-steps-5`);
    mkdirSync(folder, { recursive: true });
    const tests = rows.filter((row) => row.variant === variant).map(({ set }) => [testName(set), mAP]);
    const result: Result = { seconds: 90, mAP: Object.fromEntries(tests), ms: { proposals: 3 * seed, network: 50 } };
    writeFileSync(join(folder, 'result.json'), JSON.stringify(result));
  };
  [0.5, 0.6].forEach((mAP, i) => write('one-stage', i + 1, mAP));
  write('unshared', 1, 0.4);
  const text = report(settings, 'a machine', { stages: 'A comment.' });
  assert.match(text, /\| one stage, dense anchors \| 55\.0 \(50\.0 to 60\.0\) \| 53\.8 \|/);
  assert.match(text, /\| one stage, dense anchors \| 55\.0 \(50\.0 to 60\.0\) \| 4\.5 \| 50\.0 \|  \|/);
  assert.match(text, /\| unshared \| 40\.0 \| 1\.5 \| 58\.7 \|/);
  assert.match(text, /\| lambda 10 \| not run \| 69\.9 \|/);
  assert.match(
    text,
    /In another order than in the paper, with ranges apart: one stage, dense anchors before two stages, unshared\./,
  );
  assert.match(text, /A comment\./);
  const plot = plotExperiments(EXPERIMENTS.map((e) => ({ ...e, rows: measured(settings, e) })));
  assert.ok(plot.width > 1000 && plot.height > 1000);
});

test.run();
