/** Box arithmetic in an ONNX graph: kernels/boxes.ts, with boxes along the last axis. */
import { MAX_LOG_SCALE } from '../kernels/boxes.ts';
import type { CONVENTIONS } from '../model/conventions.ts';
import type { OnnxGraph, Value } from './graph.ts';
import type { Size } from './image.ts';

type Convention = (typeof CONVENTIONS)[keyof typeof CONVENTIONS];

/** boxes moved by deltas, then clipped to an image. */
export function decodeAndClip(
  graph: OnnxGraph,
  boxes: Value,
  deltas: Value,
  { height, width }: Size,
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

/** [..., 4] -> bool [...]: whether both sides of a box are at least so long. */
export function isLargeEnough(graph: OnnxGraph, boxes: Value, least: Value, { plusOne }: Convention): Value {
  const [corner, opposite] = graph.split(boxes, -1, [2, 2]) as [Value, Value];
  const sides = graph.add(graph.subtract(opposite, corner), graph.float(plusOne));
  return graph.node('GreaterOrEqual', [graph.node('ReduceMin', [sides], { axes: [-1], keepdims: 0 }), least]);
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

/** The same of boxes [N, 4] that are sorted, best first. @returns int64 [M]: their places, ascending */
export function suppressSorted(
  graph: OnnxGraph,
  boxes: Value,
  convention: Convention,
  limits: { threshold: number; most: number },
): Value {
  // Suppression keeps the order of the sorting, so ranks take the place of scores; they have no ties.
  const ranks = graph.node('Neg', [graph.range(graph.extent(boxes, 0))]);
  const kept = suppress(
    graph,
    graph.node('Unsqueeze', [boxes, graph.ints([0])]),
    graph.node('Unsqueeze', [ranks, graph.ints([0, 1])]),
    convention,
    limits,
  );
  return graph.gather(kept, graph.int(2), 1);
}

/**
 * The anchors of a map [1, C, H, W] as [H*W*A, 4], in the order of their index: row, column, anchor.
 * @param base [A, 4] of its first cell   @param strides pixels per cell: float32 of rank 0
 */
export function anchorGrid(
  graph: OnnxGraph,
  map: Value,
  base: readonly number[],
  strides: { y: Value; x: Value },
): Value {
  const along = (axis: number, stride: Value, dims: readonly number[]): Value =>
    graph.reshape(graph.multiply(graph.range(graph.extent(map, axis)), stride), dims);
  const [y, x] = [along(2, strides.y, [-1, 1, 1, 1]), along(3, strides.x, [1, -1, 1, 1])];
  const shifts = graph.add(
    graph.multiply(x, graph.floats([1, 0, 1, 0])),
    graph.multiply(y, graph.floats([0, 1, 0, 1])),
  );
  const anchors = graph.add(shifts, graph.floats(base, [base.length / 4, 4]));
  return graph.reshape(anchors, [-1, 4]);
}

/** The values of each anchor, `of` channels of a map [1, A * of, H, W]: [H*W*A, of], or a vector if that is 1. */
export function perAnchor(graph: OnnxGraph, map: Value, of: number): Value {
  return graph.reshape(graph.transpose(map, [0, 2, 3, 1]), of === 1 ? [-1] : [-1, of]);
}
