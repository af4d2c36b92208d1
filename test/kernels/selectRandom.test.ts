/** Selection without replacement: counts, membership, and that every candidate has its turn. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { recordSelectRandom, selectRandom, selectRandomScratch } from '../../src/kernels/selectRandom.ts';
import { eachVariant, runStage } from './stage.ts';

/** A mini-batch as the RPN draws it: positives first, negatives for the rest. Returns the indices of each. */
async function miniBatch(
  labels: number[],
  batch: number,
  fgFraction: number,
  seed: number,
): Promise<[number[], number[], number[]]> {
  const flags = Int32Array.from(labels);
  const result = await runStage({ flags }, {}, { flags, counts: new Uint32Array(2) }, (run, buffers) => {
    const choice = { n: labels.length, otherwise: -1, random: 1, seed, stream: 0 };
    const limit = Math.floor(fgFraction * batch);
    run(selectRandom, buffers, { ...choice, value: 1, limit, subtract: -1, slot: 0 });
    run(selectRandom, buffers, { ...choice, value: 0, limit: batch, subtract: 0, slot: 1 });
  });
  const chosen = (value: number) => labels.flatMap((_, i) => (result.flags[i] === value ? [i] : []));
  return [chosen(1), chosen(0), [...result.counts]];
}

test("torchvision's sampler test: one positive of 6..8, three negatives of 0..5", async () => {
  const { labels, batch, positive_fraction } = JSON.parse(
    readFileSync(new URL('../golden/matcher_sampler.json', import.meta.url), 'utf8'),
  ).sampler;
  const seen = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const [positives, negatives, counts] = await miniBatch(labels, batch, positive_fraction, seed);
    assert.equal(counts, [1, 3]);
    assert.is(positives.length, 1);
    assert.is(negatives.length, 3);
    assert.ok(positives.every((i) => i >= 6 && i <= 8));
    assert.ok(negatives.every((i) => i >= 0 && i <= 5));
    for (const i of [...positives, ...negatives]) seen.add(i);
  }
  assert.equal([...seen].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8], 'every candidate is drawn with some seed');
});

test('negatives fill the places of missing positives', async () => {
  const labels = Array.from({ length: 1000 }, (_, i) => (i % 100 === 0 ? 1 : 0));
  const [positives, negatives, counts] = await miniBatch(labels, 256, 0.5, 1);
  assert.equal([positives.length, negatives.length], [10, 246]);
  assert.equal(counts, [10, 246]);
});

test('no candidates at all', async () => {
  const [, , counts] = await miniBatch(
    Array.from({ length: 300 }, () => -1),
    256,
    0.5,
    1,
  );
  assert.equal(counts, [0, 0]);
});

test('many workgroups choose what one chooses', async () => {
  for (const [n, random, limits] of [
    [8192, 1, [64, 256]],
    [20011, 0, [0, 300]],
    [20011, 1, [128, 256]],
    [9001, 1, [9000, 20000]],
  ] as const) {
    const flags = Int32Array.from({ length: n }, (_, i) => (i % 7 === 0 ? 1 : i % 3 === 0 ? 0 : -1));
    const choice = { n, otherwise: -1, random, seed: 5, stream: 2 };
    const [narrow, wide] = await eachVariant((variant) =>
      runStage({ flags }, selectRandomScratch(n, variant), { flags, counts: new Uint32Array(2) }, (run, buffers) => {
        const first = { ...choice, value: 1, limit: limits[0], subtract: -1, slot: 0 };
        recordSelectRandom(run, buffers, first, variant);
        recordSelectRandom(run, buffers, { ...choice, value: 0, limit: limits[1], subtract: 0, slot: 1 }, variant);
      }),
    );
    assert.equal(wide, narrow, `${limits} of ${n}`);
  }
});

test.run();
