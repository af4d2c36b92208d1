/** The learning rate against detectron2's warm-up and Caffe's step policy. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import type { TrainingConfig } from '../../src/model/config.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { learningRate } from '../../src/run/training/learningRate.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/preprocess_schedule.json', import.meta.url), 'utf8'));
const close = (actual: number, expected: number, what: string) =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * expected, `${what}: ${actual}, expected ${expected}`);
const base: TrainingConfig = PRESETS['demo']!.training;

test('linear warm-up, then a factor at every milestone', () => {
  const {
    base: rate,
    warmup_factor: factor,
    warmup_iters: warmup,
    milestones,
    gamma,
    expected,
  } = golden.lr_warmup_multistep;
  const config = { ...base, learningRate: rate, warmup, milestones, gamma };
  expected.forEach((value: number, step: number) => close(learningRate(step, config, factor), value, `step ${step}`));
});

test('a warm-up begins with a tenth of the rate', () => {
  const config = { ...base, learningRate: 0.01, warmup: 100, milestones: [] };
  [0.001, 0.0055, 0.01, 0.01].forEach((rate, i) => close(learningRate(50 * i, config), rate, `step ${50 * i}`));
});

test('Caffe’s step policy is milestones at equal distances', () => {
  const { base: rate, gamma, stepsize, at } = golden.caffe_step;
  const config = { ...base, learningRate: rate, gamma, warmup: 0, milestones: [stepsize, 2 * stepsize] };
  for (const [step, value] of Object.entries<number>(at))
    close(learningRate(Number(step), config), value, `step ${step}`);
});

test.run();
