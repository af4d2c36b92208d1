import { test } from 'uvu';
import { readFileSync } from 'node:fs';
import { sgdStepsCheck } from '../../src/kernels/checks/elementwise.ts';
import { sgdSets, sgdSteps } from '../../src/kernels/sgd.ts';
import { expectClose, launch, sharedGpu } from '../harness.ts';
import { runCheck, testChecks } from './runCheck.ts';

testChecks([[1], [67], [1024], [4099], [1, 70001], [4096, 4096]].map(sgdStepsCheck));

const golden = JSON.parse(readFileSync(new URL('../golden/nn_ops.json', import.meta.url), 'utf8')).sgd;

async function trace(lr: number, weightDecay: number): Promise<number[][]> {
  let w = Float32Array.of(golden.w0);
  let h = new Float32Array(1);
  const steps: number[][] = [];
  for (const gradient of golden.grads) {
    const buffers = { w0: w, h0: h, grad0: Float32Array.of(gradient) };
    const uniforms = { n0: 1, lr0: lr, momentum: golden.momentum, weightDecay0: weightDecay, gradScale: 1 };
    const next = await launch(await sharedGpu(), sgdSteps(1), buffers, uniforms);
    w = next['w0'] as typeof w;
    h = next['h0'] as typeof h;
    steps.push([w[0]!, h[0]!]);
  }
  return steps;
}

test('as many parameters as the device binds, of sizes that share workgroups and that do not', async () => {
  const sets = sgdSets((await sharedGpu()).device.limits.maxStorageBuffersPerShaderStage);
  await runCheck(sgdStepsCheck(Array.from({ length: sets }, (_, k) => [5, 4097, 64, 70001, 1][k % 5]! + k)));
});

test("three steps of Caffe's solver", async () => {
  const weights = await trace(golden.lr, golden.weight_decay);
  expectClose(weights.flat(), golden.steps_w_h.flat(), { atol: 1e-9, rtol: 2e-7, what: 'weight, momentum' });
});

test('a bias: twice the learning rate, no decay', async () => {
  const biases = await trace(2 * golden.lr, 0);
  expectClose(biases.flat(), golden.bias_lr_x2_decay0.flat(), { atol: 1e-9, rtol: 2e-7, what: 'bias, momentum' });
});

test.run();
