/** Checks of the log loss with class weights: a fifth of the rows do not count. */
import {
  classWeightedLogLossBackward,
  classWeightedLogLossFinal,
  classWeightedLogLossReference,
  classWeightedLogLossRows,
} from '../classWeightedLogLoss.ts';
import type { KernelCheck } from './check.ts';
import { doubles, integers, normals, rounded } from './inputs.ts';

/** Exponentials and logarithms may be off by some units in the last place. */
const TOLERANCE = { atol: 2e-6, rtol: 2e-5 };

function inputs(rows: number, channels: number) {
  const x = normals(rows * channels, 1, 3);
  const labels = integers(rows, 2, 0, channels).map((label, row) => (row % 5 === 4 ? -1 : label));
  const weights = normals(channels, 3).map((value) => Math.abs(value) + 0.1);
  const of = { x: doubles(x), labels, weights: doubles(weights) };
  return { buffers: { x, labels, weights }, of, uniforms: { rows, channels } };
}

export function classWeightedLogLossRowsCheck(rows: number, channels: number): KernelCheck {
  const { buffers, of, uniforms } = inputs(rows, channels);
  const { losses, rowWeights } = classWeightedLogLossReference(of);
  return {
    name: `class_weighted_log_loss_rows ${rows}x${channels}`,
    kernel: classWeightedLogLossRows,
    buffers: { ...buffers, losses: new Float32Array(rows), rowWeights: new Float32Array(rows) },
    uniforms,
    expected: { losses, rowWeights },
    ...TOLERANCE,
  };
}

export function classWeightedLogLossFinalCheck(rows: number): KernelCheck {
  const { losses, rowWeights, loss, total } = classWeightedLogLossReference(inputs(rows, 4).of);
  return {
    name: `class_weighted_log_loss_final ${rows}`,
    kernel: classWeightedLogLossFinal,
    buffers: {
      losses: rounded(losses),
      rowWeights: rounded(rowWeights),
      loss: new Float32Array(1),
      total: new Float32Array(1),
    },
    uniforms: { n: rows },
    expected: { loss: Float64Array.of(loss), total: Float64Array.of(total) },
    ...TOLERANCE,
  };
}

export function classWeightedLogLossBackwardCheck(rows: number, channels: number): KernelCheck {
  const { buffers, of, uniforms } = inputs(rows, channels);
  const { total, dx } = classWeightedLogLossReference(of, 1.5);
  return {
    name: `class_weighted_log_loss_backward ${rows}x${channels}`,
    kernel: classWeightedLogLossBackward,
    buffers: {
      ...buffers,
      total: Float32Array.of(total),
      dloss: Float32Array.of(1.5),
      dx: normals(rows * channels, 4),
    },
    uniforms,
    expected: { dx },
    ...TOLERANCE,
  };
}
