/** Faster R-CNN on one map in an ONNX graph (model/fasterRcnn.ts). */
import type { Tensor } from '../engine/tensor.ts';
import { CONVENTIONS } from '../model/conventions.ts';
import type { DetectorConfig } from '../model/config.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import { anchorGrid, decodeAndClip, isLargeEnough, perAnchor, suppressSorted } from './boxes.ts';
import { preparedImage, tracedImage, tracedRois } from './detectorInputs.ts';
import { detections, type Objects } from './detections.ts';
import type { OnnxGraph, Value } from './graph.ts';
import { byOneScale, prepare, type Prepared } from './image.ts';
import type { NetworkGraph } from './network.ts';

/** In one-stage detection there are only features. */
type NetworkMaps = Record<'features', Tensor> | Record<'features' | 'logits' | 'deltas', Tensor>;

export async function mapDetector(
  graph: OnnxGraph,
  network: NetworkGraph,
  detector: FasterRcnn,
  pixels: Value,
): Promise<Objects> {
  const { config, backbone } = detector;
  const image = prepare(graph, pixels, config.input, byOneScale);
  const maps = network.add(tracedImage(image.tensor), ({ pixels }): NetworkMaps => {
    const { features, state } = detector.convolve(preparedImage(pixels));
    const [map] = features.maps as [Tensor];
    return 'maps' in state ? { features: map } : { features: map, ...state[0]! };
  });
  const cell = graph.float(backbone.stride);
  const base = Array.from(await detector.rpn.anchors.read());
  const anchors = anchorGrid(graph, maps.features.value, base, { y: cell, x: cell });
  const rois =
    'logits' in maps
      ? proposals(graph, { logits: maps.logits.value, deltas: maps.deltas.value }, anchors, image, config)
      : slidingWindows(graph, anchors, image, config);
  const { logits, deltas } = network.add(
    { features: maps.features, rois: tracedRois(graph, rois) },
    ({ features, rois }) => detector.head.forward({ maps: [features], scales: [1] }, rois, null),
  );
  const scored = { logits: logits.value, deltas: deltas.value };
  return detections(graph, graph.divide(rois, image.scale), scored, image.original, config);
}

/** The RPN's maps -> RoIs [P, 4], best first (kernels/proposals.ts). */
function proposals(
  graph: OnnxGraph,
  { logits, deltas }: { logits: Value; deltas: Value },
  anchors: Value,
  image: Prepared,
  { rpn, convention, anchors: { sizes, ratios } }: DetectorConfig,
): Value {
  const count = sizes.length * ratios.length;
  const rules = CONVENTIONS[convention];
  const [background, object] = graph.split(logits, 1, [count, count]) as [Value, Value];
  const scores = perAnchor(graph, graph.subtract(object, background), 1);
  const boxes = decodeAndClip(graph, anchors, perAnchor(graph, deltas, 4), image, rules);
  const isLarge = isLargeEnough(graph, boxes, graph.multiply(graph.float(rpn.minSize), image.scale), rules);
  const keep = (x: Value): Value => graph.node('Compress', [x, isLarge], { axis: 0 });
  const [keptBoxes, keptScores] = [keep(boxes), keep(scores)];
  const most = graph.node('Min', [graph.extent(keptScores, 0), graph.int(rpn.test.preNms)]);
  const [, places] = graph.topK(keptScores, most);
  const sorted = graph.gather(keptBoxes, places, 0);
  const limits = { threshold: rpn.nmsThreshold, most: rpn.test.postNms };
  return graph.gather(sorted, suppressSorted(graph, sorted, rules, limits), 0);
}

/** All anchors in the image in place of proposals: one-stage detection (model/rpn.ts). */
function slidingWindows(graph: OnnxGraph, anchors: Value, image: Prepared, { convention }: DetectorConfig): Value {
  const rules = CONVENTIONS[convention];
  const boxes = decodeAndClip(graph, anchors, graph.floats([0, 0, 0, 0], [1, 4]), image, rules);
  return graph.node('Compress', [boxes, isLargeEnough(graph, boxes, graph.float(1), rules)], { axis: 0 });
}
