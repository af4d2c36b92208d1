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
  const config = { ...base, learningRate: rate, warmup, warmupFactor: factor, milestones, gamma };
  expected.forEach((value: number, step: number) => close(learningRate(step, config), value, `step ${step}`));
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

test('half a cosine, and the polynomial of torch.optim.lr_scheduler.PolynomialLR', () => {
  const config = { ...base, learningRate: 0.4, steps: 8, warmup: 0, milestones: [2], gamma: 0.1 };
  const cosine = { ...config, rateSchedule: 'cosine' as const };
  // torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
  [0.4, 0.3847759065, 0.3414213562, 0.2765366865, 0.2, 0.1234633135, 0.0585786438, 0.0152240935].forEach((rate, step) =>
    assert.ok(Math.abs(learningRate(step, cosine) - rate) < 1e-9, `step ${step}`),
  );
  const polynomial = { ...config, rateSchedule: 'polynomial' as const };
  close(learningRate(4, { ...polynomial, power: 2 }), 0.1, 'a square, half way');
  close(learningRate(4, polynomial), 0.4 * 0.5 ** 0.9, 'without a power');
  close(learningRate(1, { ...cosine, warmup: 2, warmupFactor: 0 }), 0.3847759065 / 2, 'within the warm-up');
});

test.run();
