/** From the scores of regions to objects, in an ONNX graph (kernels/detections.ts). */
import type { DetectorConfig } from '../model/config.ts';
import { CONVENTIONS, SMALLEST_DETECTION } from '../model/conventions.ts';
import { decodeAndClip, isLargeEnough, suppress } from './boxes.ts';
import type { OnnxGraph, Value } from './graph.ts';
import type { Size } from './image.ts';

/** No limit of its own. */
const ALL = 2 ** 31 - 1;

/** Boxes [objects, 4], scores [objects], labels int64 [objects], which count from the background; best first. */
export type Objects = Record<'boxes' | 'scores' | 'labels', Value>;

/**
 * @param rois [R, 4] in pixels of an image of `size`, as are the boxes of the objects
 * @param scored logits [R, K] and deltas [R, 4K] of the detection head
 */
export function detections(
  graph: OnnxGraph,
  rois: Value,
  { logits, deltas }: { logits: Value; deltas: Value },
  size: Size,
  { classes, head, test, convention }: DetectorConfig,
): Objects {
  const rules = CONVENTIONS[convention];
  // Without the background: [K - 1, R] and [K - 1, R, 4].
  const objects = (x: Value): Value => graph.split(x, 0, [1, classes.length - 1])[1]!;
  const probabilities = objects(graph.transpose(graph.node('Softmax', [logits], { axis: 1 }), [1, 0]));
  const moves = objects(graph.transpose(graph.reshape(deltas, [0, classes.length, 4]), [1, 0, 2]));
  const boxes = decodeAndClip(graph, rois, graph.multiply(moves, graph.floats(head.targetStds)), size, rules);
  const smallest = SMALLEST_DETECTION[convention];
  const isLarge = smallest > 0 && isLargeEnough(graph, boxes, graph.float(smallest), rules);
  const scores = isLarge ? graph.node('Where', [isLarge, probabilities, graph.float(-1)]) : probabilities;
  const kept = suppress(graph, boxes, graph.node('Unsqueeze', [scores, graph.ints([1])]), rules, {
    threshold: test.nmsThreshold,
    most: ALL,
    above: test.scoreThreshold,
  });
  const at = graph.gather(kept, graph.ints([0, 2]), 1);
  const keptScores = graph.node('GatherND', [scores, at]);
  const keptBoxes = graph.node('GatherND', [boxes, at]);
  const labels = graph.add(graph.gather(kept, graph.int(0), 1), graph.int(1));
  // The best of all classes, and those that tie with the last of them. A score of -1 stands for "fewer than that".
  const padded = graph.node('Concat', [keptScores, graph.floats([-1])], { axis: 0 });
  const limit = graph.node('Min', [graph.extent(padded, 0), graph.int(test.maxDetections)]);
  const [best] = graph.topK(padded, limit);
  const lowest = graph.node('ReduceMin', [best], { keepdims: 0 });
  const taken = graph.cast(graph.node('GreaterOrEqual', [keptScores, lowest]), 'int64');
  const count = graph.node('ReduceSum', [taken], { keepdims: 0 });
  const [sortedScores, order] = graph.topK(keptScores, count);
  return {
    boxes: graph.gather(keptBoxes, order, 0),
    scores: sortedScores,
    labels: graph.gather(labels, order, 0),
  };
}
