/** The cases of the goldens from PyTorch (scripts/goldens/ops.py), and how the engine computes each. */
import * as ops from '../../src/index.ts';
import type { Tensor } from '../../src/index.ts';
import { loadSafetensors } from '../../src/node.ts';

export interface Case {
  name: string;
  op: string;
  inputs: string[];
  grads: string[];
  options: never;
}

export const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/pytorch-ops.safetensors', import.meta.url).pathname,
);
export const cases: Case[] = JSON.parse(metadata['cases']!);

/** An operation on named inputs. */
export const operations: Record<string, (x: Record<string, Tensor>, options: never) => Tensor> = {
  conv2d: ({ x, weight, bias }, options) => ops.conv2d(x!, weight!, bias ?? null, options),
  linear: ({ x, weight, bias }) => ops.linear(x!, weight!, bias ?? null),
  relu: ({ x }) => ops.relu(x!),
  maxPool2d: ({ x }, options) => ops.maxPool2d(x!, options),
  localResponseNorm: ({ x }, options) => ops.localResponseNorm(x!, options),
  softmax: ({ x }, { axis }: { axis: number }) => ops.softmax(x!, axis),
  classWeightedLogLoss: ({ logits, labels, weights }) => ops.classWeightedLogLoss(logits!, labels!, weights!),
  softmaxLogLoss: ({ logits, labels }, options) => ops.softmaxLogLoss(logits!, labels!, options),
  smoothL1Loss: ({ pred, target, ...weights }, options: object) =>
    ops.smoothL1Loss(pred!, target!, { ...options, ...weights }),
  add: ({ a, b }) => ops.add(a!, b!),
  multiply: ({ a, b }) => ops.multiply(a!, b!),
  scale: ({ x }, { factor }: { factor: number }) => ops.scale(x!, factor),
  concat: (xs, { axis }: { axis: number }) => ops.concat(Object.values(xs), axis),
  reshape: ({ x }, { shape }: { shape: number[] }) => ops.reshape(x!, shape),
  sum: ({ x }, { axes, keepDims }: { axes?: number | number[]; keepDims?: boolean }) =>
    ops.sum(x!, axes, { keepDims: keepDims ?? false }),
  mean: ({ x }, { axes, keepDims }: { axes?: number | number[]; keepDims?: boolean }) =>
    ops.mean(x!, axes, { keepDims: keepDims ?? false }),
  subtract: ({ a, b }) => ops.subtract(a!, b!),
  gelu: ({ x }) => ops.gelu(x!),
  silu: ({ x }) => ops.silu(x!),
  clip: ({ x }, { low, high }: { low: number; high: number }) => ops.clip(x!, low, high),
  where: ({ condition, a, b }) => ops.where(condition!, a!, b!),
  max: ({ x }, { axes, keepDims }: { axes: number[]; keepDims: boolean }) => ops.max(x!, axes, { keepDims }),
  min: ({ x }, { axes, keepDims }: { axes: number[]; keepDims: boolean }) => ops.min(x!, axes, { keepDims }),
  topK: ({ x }, { k, axis }: { k: number; axis: number }) => ops.topK(x!, k, axis).values,
  gather: ({ x, indices }, { axis }: { axis: number }) => ops.gather(x!, axis, indices!),
  embedding: ({ table, indices }) => ops.embedding(table!, indices!),
  pad: ({ x }, { widths, value }: { widths: [number, number][]; value: number }) => ops.pad(x!, widths, value),
  stack: ({ a, b }, { axis }: { axis: number }) => ops.stack([a!, b!], axis),
  split: ({ x }, { lengths, axis, part }: { lengths: number | number[]; axis: number; part: number }) =>
    ops.split(x!, lengths, axis)[part]!,
  cumsum: ({ x }, { axis }: { axis: number }) => ops.cumsum(x!, axis),
  upsampleBilinear: ({ x }, { size }: { size: [number, number] }) => ops.upsampleBilinear(x!, size),
  layerNorm: ({ x, weight, bias }) => ops.layerNorm(x!, weight!, bias!),
  groupNorm: ({ x, weight, bias }, { groups }: { groups: number }) => ops.groupNorm(x!, groups, weight!, bias!),
  logSoftmax: ({ x }, { axis }: { axis: number }) => ops.logSoftmax(x!, axis),
  binaryCrossEntropyWithLogits: ({ logits, targets }) => ops.binaryCrossEntropyWithLogits(logits!, targets!),
  scaledDotProductAttention: ({ q, k, v, mask }, options: object) =>
    ops.scaledDotProductAttention(q!, k!, v!, { ...options, ...(mask && { mask }) }),
  broadcastTo: ({ x }, { shape }: { shape: number[] }) => ops.broadcastTo(x!, shape),
  divide: ({ a, b }) => ops.divide(a!, b!),
  maximum: ({ a, b }) => ops.maximum(a!, b!),
  minimum: ({ a, b }) => ops.minimum(a!, b!),
  pow: ({ a, b }) => ops.pow(a!, b!),
  sigmoid: ({ x }) => ops.sigmoid(x!),
  tanh: ({ x }) => ops.tanh(x!),
  softplus: ({ x }) => ops.softplus(x!),
  exp: ({ x }) => ops.exp(x!),
  log: ({ x }) => ops.log(x!),
  sqrt: ({ x }) => ops.sqrt(x!),
  abs: ({ x }) => ops.abs(x!),
  reciprocal: ({ x }) => ops.reciprocal(x!),
  convTranspose2d: ({ x, weight, bias }, options) => ops.convTranspose2d(x!, weight!, bias ?? null, options),
  matmul: ({ a, b }, options) => ops.matmul(a!, b!, options),
  permute: ({ x }, { order }: { order: number[] }) => ops.permute(x!, order),
  averagePool2d: ({ x }, options) => ops.averagePool2d(x!, options),
  batchNorm: ({ x, weight, bias, mean, variance }, options) =>
    ops.batchNorm(x!, weight!, bias!, { mean: mean!, variance: variance! }, options),
  meanSquaredError: ({ pred, target }) => ops.meanSquaredError(pred!, target!),
  roiPool: ({ x, rois }, options) => ops.roiPool(x!, rois!, options),
  roiAlign: ({ rois, ...maps }, options) => ops.roiAlign(Object.values(maps), rois!, options),
  hardSigmoid: ({ x }) => ops.hardSigmoid(x!),
  hardSwish: ({ x }) => ops.hardSwish(x!),
  upsampleNearest: ({ x }, { size }: { size: [number, number] }) => ops.upsampleNearest(x!, size),
  sigmoidLogLoss: ({ logits, labels }) => ops.sigmoidLogLoss(logits!, labels!),
};
