/** Every operation of the package, applied to a few numbers. */
import * as api from '../../src/index.ts';
import type { Gpu, Tensor } from '../../src/index.ts';

/** Each operation on a few numbers, and where it takes other kernels for other shapes, again on more. */
export const SAMPLES: Record<string, (gpu: Gpu) => (Tensor | { count: Tensor })[]> = {
  abs: (gpu) => [api.abs(ones(gpu, 2, 3))],
  add: (gpu) => [api.add(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.add(ones(gpu, 2, 3), ones(gpu, 3))],
  averagePool2d: (gpu) => [api.averagePool2d(ones(gpu, 1, 1, 4, 4), { kernel: 2 })],
  batchNorm: (gpu) =>
    [true, false].map((training) => {
      const running = { mean: gpu.zeros([2]), variance: gpu.zeros([2]) };
      return api.batchNorm(ones(gpu, 2, 2, 3), ones(gpu, 2), ones(gpu, 2), running, { training });
    }),
  cast: (gpu) => (gpu.hasHalf ? [api.cast(api.cast(ones(gpu, 4), 'f16'), 'f32')] : []),
  concat: (gpu) => [
    api.concat([ones(gpu, 2, 3), ones(gpu, 2, 1)], 1),
    api.concat([ones(gpu, 1, 4), ones(gpu, 2, 4)], 0),
  ],
  conv2d: (gpu) => [
    api.conv2d(ones(gpu, 1, 2, 5, 5), ones(gpu, 3, 2, 3, 3), ones(gpu, 3), { padding: 1 }),
    api.conv2d(ones(gpu, 1, 32, 24, 24), ones(gpu, 32, 32, 3, 3), null, { padding: 1, relu: true }),
    api.conv2d(ones(gpu, 1, 2, 5, 5), ones(gpu, 3, 2, 1, 1), null, { stride: 2 }),
  ],
  convTranspose2d: (gpu) => [
    api.convTranspose2d(ones(gpu, 1, 2, 3, 3), ones(gpu, 2, 2, 2, 2), ones(gpu, 2), { stride: 2 }),
  ],
  divide: (gpu) => [api.divide(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.divide(ones(gpu, 3, 1), ones(gpu, 4))],
  maximum: (gpu) => [api.maximum(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.maximum(ones(gpu, 3, 1), ones(gpu, 4))],
  minimum: (gpu) => [api.minimum(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.minimum(ones(gpu, 3, 1), ones(gpu, 4))],
  pow: (gpu) => [api.pow(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.pow(ones(gpu, 3, 1), ones(gpu, 4))],
  equal: (gpu) => [{ count: api.equal(ones(gpu, 2, 3), 1) }],
  notEqual: (gpu) => [{ count: api.notEqual(ones(gpu, 2, 3), 1) }],
  less: (gpu) => [{ count: api.less(ones(gpu, 2, 3), 1) }],
  lessEqual: (gpu) => [{ count: api.lessEqual(ones(gpu, 2, 3), 1) }],
  greater: (gpu) => [{ count: api.greater(ones(gpu, 2, 3), 1) }],
  greaterEqual: (gpu) => [{ count: api.greaterEqual(ones(gpu, 2, 3), 1) }],
  argMax: (gpu) => [{ count: api.argMax(ones(gpu, 2, 3), 1) }, { count: api.argMax(ones(gpu, 2, 2000), 1) }],
  argMin: (gpu) => [{ count: api.argMin(ones(gpu, 2, 3), 1) }],
  binaryCrossEntropyWithLogits: (gpu) => [api.binaryCrossEntropyWithLogits(ones(gpu, 3), ones(gpu, 3))],
  broadcastTo: (gpu) => [
    api.broadcastTo(ones(gpu, 3, 1), [2, 3, 4]),
    api.broadcastTo(ones(gpu, 2, 1, 2, 1), [2, 3, 2, 3]),
  ],
  clip: (gpu) => [api.clip(ones(gpu, 3), 0, 2)],
  cumsum: (gpu) => [api.cumsum(ones(gpu, 2, 3), 1)],
  embedding: (gpu) => [api.embedding(ones(gpu, 3, 2), gpu.tensor(Int32Array.of(0, 2, 0), [3]))],
  gather: (gpu) => [api.gather(ones(gpu, 2, 3), 1, gpu.tensor(Int32Array.of(0, 2), [2, 1]))],
  gelu: (gpu) => [api.gelu(ones(gpu, 3))],
  groupNorm: (gpu) => [api.groupNorm(ones(gpu, 2, 4, 3), 2, ones(gpu, 4), ones(gpu, 4))],
  layerNorm: (gpu) => [api.layerNorm(ones(gpu, 2, 3), ones(gpu, 3), ones(gpu, 3))],
  logSoftmax: (gpu) => [api.logSoftmax(ones(gpu, 2, 3), 1)],
  max: (gpu) => [api.max(ones(gpu, 2, 3, 4), [0, 2]), api.max(ones(gpu, 2000))],
  min: (gpu) => [api.min(ones(gpu, 2, 3), 0)],
  pad: (gpu) => [api.pad(ones(gpu, 2, 3), [[1, 0], [1, 2]])], // prettier-ignore
  scaledDotProductAttention: (gpu) => [
    api.scaledDotProductAttention(ones(gpu, 2, 3, 4), ones(gpu, 2, 3, 4), ones(gpu, 2, 3, 4), { causal: true }),
  ],
  silu: (gpu) => [api.silu(ones(gpu, 3))],
  split: (gpu) => api.split(ones(gpu, 5, 2), 2),
  stack: (gpu) => [api.stack([ones(gpu, 2), ones(gpu, 2)], 1)],
  topK: (gpu) => [api.topK(ones(gpu, 2, 5), 2).values],
  upsampleBilinear: (gpu) => [api.upsampleBilinear(ones(gpu, 1, 1, 2, 2), [4, 3])],
  where: (gpu) => [api.where(api.less(ones(gpu, 3), 2), ones(gpu, 3), ones(gpu, 2, 3))],
  dropout: (gpu) => [api.dropout(ones(gpu, 4), { p: 0.5 })],
  exp: (gpu) => [api.exp(ones(gpu, 3))],
  foldBatchNorm: (gpu) => {
    const running = { mean: gpu.zeros([2]), variance: ones(gpu, 2) };
    return [api.foldBatchNorm(ones(gpu, 2, 3, 1, 1), ones(gpu, 2), ones(gpu, 2), running)[0]];
  },
  hardSigmoid: (gpu) => [api.hardSigmoid(ones(gpu, 3))],
  hardSwish: (gpu) => [api.hardSwish(ones(gpu, 3))],
  linear: (gpu) => [
    api.linear(ones(gpu, 2, 3), ones(gpu, 4, 3), ones(gpu, 4), { relu: true }),
    api.linear(ones(gpu, 64, 300), ones(gpu, 64, 300)),
  ],
  localResponseNorm: (gpu) => [api.localResponseNorm(ones(gpu, 1, 4, 3, 3), { size: 3 })],
  log: (gpu) => [api.log(ones(gpu, 3))],
  matmul: (gpu) => [
    api.matmul(ones(gpu, 3, 2), ones(gpu, 2, 4)),
    api.matmul(ones(gpu, 2, 64, 64), ones(gpu, 2, 64, 64)),
  ],
  maxPool2d: (gpu) => [api.maxPool2d(ones(gpu, 1, 1, 4, 4), { kernel: 2 })],
  mean: (gpu) => [api.mean(ones(gpu, 2, 3, 4)), api.mean(ones(gpu, 2, 3, 4), 1), api.mean(ones(gpu, 2, 3, 4), [0, 2])],
  meanSquaredError: (gpu) => [api.meanSquaredError(ones(gpu, 3), ones(gpu, 3))],
  multiply: (gpu) => [api.multiply(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.multiply(ones(gpu, 2, 3), ones(gpu, 2, 1))],
  nms: (gpu) => [3, 600].map((n) => api.nms(ones(gpu, n, 4), ones(gpu, n), { iouThreshold: 0.5 })),
  permute: (gpu) => [api.permute(ones(gpu, 2, 3, 4), [2, 0, 1])],
  reciprocal: (gpu) => [api.reciprocal(ones(gpu, 3))],
  relu: (gpu) => [api.relu(ones(gpu, 3))],
  addRelu: (gpu) => [api.addRelu(ones(gpu, 3), ones(gpu, 3))],
  reshape: (gpu) => [api.reshape(ones(gpu, 2, 3), [3, 2])],
  pyramidPool: (gpu) => [api.pyramidPool(ones(gpu, 1, 2, 4, 4), rois(gpu), { spatialScale: 1 })],
  roiAlign: (gpu) => [
    api.roiAlign([ones(gpu, 1, 2, 4, 4)], rois(gpu), { size: 2, spatialScales: [1], samplingRatio: 2 }),
  ],
  roiPool: (gpu) => [api.roiPool(ones(gpu, 1, 2, 4, 4), rois(gpu), { size: 2, spatialScale: 1 })],
  roiWarp: (gpu) => [api.roiWarp(ones(gpu, 1, 2, 4, 4), rois(gpu), { size: 2, spatialScale: 1 })],
  scale: (gpu) => [api.scale(ones(gpu, 3), 2)],
  sigmoid: (gpu) => [api.sigmoid(ones(gpu, 3))],
  sigmoidLogLoss: (gpu) => [api.sigmoidLogLoss(ones(gpu, 3), gpu.tensor(Int32Array.of(0, 1, -1), [3]))],
  slice: (gpu) => [api.slice(ones(gpu, 2, 3), 1, 1, 2), api.slice(ones(gpu, 3, 4), 0, 1, 2)],
  smoothL1Loss: (gpu) => [
    api.smoothL1Loss(ones(gpu, 3), ones(gpu, 3)),
    api.smoothL1Loss(ones(gpu, 3), ones(gpu, 3), { insideWeights: ones(gpu, 3), outsideWeights: ones(gpu, 3) }),
  ],
  softmax: (gpu) => [api.softmax(ones(gpu, 2, 3), 1), api.softmax(ones(gpu, 2, 2000), 1)],
  classWeightedLogLoss: (gpu) => [
    api.classWeightedLogLoss(ones(gpu, 2, 3), gpu.tensor(Int32Array.of(0, 1), [2]), ones(gpu, 3)),
  ],
  softmaxLogLoss: (gpu) =>
    [2, 2000].map((classes) => api.softmaxLogLoss(ones(gpu, 2, classes), gpu.tensor(Int32Array.of(0, 1), [2]))),
  softplus: (gpu) => [api.softplus(ones(gpu, 3))],
  sqrt: (gpu) => [api.sqrt(ones(gpu, 3))],
  subtract: (gpu) => [api.subtract(ones(gpu, 2, 3), ones(gpu, 2, 3)), api.subtract(ones(gpu, 2, 3), ones(gpu, 3))],
  sum: (gpu) => [
    api.sum(ones(gpu, 2, 3)),
    api.sum(ones(gpu, 2, 3), 0),
    api.sum(ones(gpu, 2, 3, 40_000), [0, 2]),
    api.sum(ones(gpu, 2, 2, 9000), 2),
  ],
  tanh: (gpu) => [api.tanh(ones(gpu, 3))],
  upsampleNearest: (gpu) => [api.upsampleNearest(ones(gpu, 1, 1, 2, 2), [4, 3])],
};

/** A tensor of ones whose gradient is asked for. */
function ones(gpu: Gpu, ...shape: number[]): Tensor {
  const tensor = gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);
  tensor.requiresGrad = true;
  return tensor;
}

const rois = (gpu: Gpu): Tensor => {
  const tensor = gpu.tensor([0, 0, 0, 3, 3], [1, 5]);
  tensor.requiresGrad = true;
  return tensor;
};
