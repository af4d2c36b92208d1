/** What is compared: the same rows, inputs and references for every engine. */
import type { Expected } from '../../src/bench/compare.ts';
import { sampleIndices } from '../../src/bench/compare.ts';
import { CONV_PASSES, convElement, convInputs, type PassTitle } from '../../src/bench/cases/convolution.ts';
import { uniform } from '../../src/bench/inputs.ts';
import { productElement } from '../../src/bench/references.ts';
import {
  convFlops,
  type ConvLayer,
  layerName,
  MATMUL_SIZES,
  outputSize,
  VGG16_LAYERS,
} from '../../src/bench/shapes.ts';
import { LOSS_TERMS } from '../../src/model/detector.ts';
import { COMPARED_OBJECTS, DETECTOR_ROWS, type DetectorRow } from './detector.ts';
import { TRAINING_FLOPS, TRAINING_SHAPE } from './training.ts';

export type PeerRow =
  | { kind: 'conv'; pass: PassTitle; layer: ConvLayer }
  | { kind: 'matmul'; n: number }
  | { kind: 'training' }
  | DetectorRow;

/** The rows whose results are compared with float64; those of the others with ours. */
export type ReferenceRow = Extract<PeerRow, { kind: 'conv' | 'matmul' }>;

export const ROWS: readonly PeerRow[] = [
  ...CONV_PASSES.flatMap((pass) => VGG16_LAYERS.map((layer) => ({ kind: 'conv' as const, pass, layer }))),
  ...MATMUL_SIZES.map((n) => ({ kind: 'matmul' as const, n })),
  { kind: 'training' },
  ...DETECTOR_ROWS,
];

/** The names in the report: `geomean` has those of convolutions. */
export function describeRow(row: PeerRow): { op: string; shape: string; flops: number | null } {
  if (row.kind === 'conv') {
    return { op: row.pass.replace(' ', '_'), shape: layerName(row.layer), flops: convFlops(row.layer) };
  }
  if (row.kind === 'matmul') return { op: 'matmul', shape: `${row.n}x${row.n}x${row.n}`, flops: 2 * row.n ** 3 };
  if (row.kind === 'training') return { op: 'training_step', shape: TRAINING_SHAPE, flops: TRAINING_FLOPS };
  const op = row.kind === 'detection' ? 'detection' : 'training_step';
  return { op, shape: `ResNet-50-FPN ${row.height}x${row.width}`, flops: null };
}

export function matmulInputs(n: number): { a: Float32Array; b: Float32Array } {
  return { a: uniform(n * n, 1), b: uniform(n * n, 2) };
}

/** The elements in which each engine's result is checked. */
export function sampledElements(row: PeerRow): number[] {
  if (row.kind === 'matmul') return sampleIndices(row.n ** 2, 128);
  if (row.kind === 'training') return sampleIndices(16 * 3 * 25, 128);
  if (row.kind === 'detection') return [...Array(COMPARED_OBJECTS).keys()];
  if (row.kind === 'detector training') return [...LOSS_TERMS.keys()];
  const { C, K, side, H, W } = row.layer;
  const { OH, OW } = outputSize(row.layer);
  if (row.pass === 'filter gradient') return sampleIndices(K * C * side * side, 48);
  // From the first and the last channel only: an engine that has to copy its result to the CPU copies those two.
  const [channels, plane] = row.pass === 'forward' ? [K, OH * OW] : [C, H * W];
  return sampleIndices(2 * plane, 128).map((i) => (i < plane ? i : (channels - 2) * plane + i));
}

/** The expected elements, in float64. */
export function expectedElements(row: ReferenceRow): Expected[] {
  const indices = sampledElements(row);
  if (row.kind === 'matmul') {
    const { a, b } = matmulInputs(row.n);
    return indices.map((index) => productElement(row.n, a, b, index));
  }
  const inputs = convInputs(row.layer);
  return indices.map((index) => convElement(row.layer, row.pass, inputs, index));
}
