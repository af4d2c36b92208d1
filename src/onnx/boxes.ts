/** Box arithmetic in an ONNX graph: kernels/boxes.ts, with boxes along the last axis. */
import { MAX_LOG_SCALE } from '../kernels/boxes.ts';
import type { CONVENTIONS } from '../model/conventions.ts';
import type { OnnxGraph, Value } from './graph.ts';

type Convention = (typeof CONVENTIONS)[keyof typeof CONVENTIONS];

/** boxes moved by deltas, then clipped to an image, whose height and width are float32 of rank 0. */
export function decodeAndClip(
  graph: OnnxGraph,
  boxes: Value,
  deltas: Value,
  { height, width }: { height: Value; width: Value },
  { plusOne, decodeShrink }: Convention,
): Value {
  const [corner, opposite] = graph.split(boxes, -1, [2, 2]) as [Value, Value];
  const [shift, growth] = graph.split(deltas, -1, [2, 2]) as [Value, Value];
  const size = graph.add(graph.subtract(opposite, corner), graph.float(plusOne));
  const centre = graph.add(graph.add(graph.multiply(shift, size), corner), graph.multiply(graph.float(0.5), size));
  const grown = graph.node('Exp', [graph.node('Min', [growth, graph.float(MAX_LOG_SCALE)])]);
  const half = graph.multiply(graph.multiply(graph.float(0.5), size), grown);
  const last = graph.subtract(graph.vector([width, height]), graph.float(plusOne));
  const clip = (corners: Value): Value => graph.node('Max', [graph.node('Min', [corners, last]), graph.float(0)]);
  const far = graph.subtract(graph.add(centre, half), graph.float(decodeShrink));
  return graph.node('Concat', [clip(graph.subtract(centre, half)), clip(far)], { axis: -1 });
}

/**
 * Suppression of the lower of two scores whose boxes overlap more than `threshold`. Corners are shifted so that their distance is
 * the width: ONNX has boxes without the + 1 of inclusive corners.
 * @param boxes [S, N, 4]   @param scores [S, 1, N]   @returns int64 [M, 3]: slice, 0, place; per slice the best first
 */
export function suppress(
  graph: OnnxGraph,
  boxes: Value,
  scores: Value,
  { plusOne }: Convention,
  limits: { threshold: number; most: number; above?: number },
): Value {
  const continuous = graph.add(boxes, graph.floats([0, 0, plusOne, plusOne]));
  const above = limits.above === undefined ? [] : [graph.floats([limits.above])];
  return graph.node('NonMaxSuppression', [
    continuous,
    scores,
    graph.ints([limits.most]),
    graph.floats([limits.threshold]),
    ...above,
  ]);
}
