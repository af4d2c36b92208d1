/** Faster R-CNN on one map in an ONNX graph (model/fasterRcnn.ts). */
import type { Tensor } from '../engine/tensor.ts';
import { CONVENTIONS } from '../model/conventions.ts';
import type { DetectorConfig } from '../model/config.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import { anchorGrid, decodeAndClip, isLargeEnough, perAnchor, suppressSorted } from './boxes.ts';
import { detections, type Objects } from './detections.ts';
import type { OnnxGraph, Value } from './graph.ts';
import { byOneScale, prepare, type Prepared } from './image.ts';
import { type NetworkGraph, TRACED_ROIS, TRACED_SIDE, tracedImage } from './network.ts';

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
    const size = { height: TRACED_SIDE, width: TRACED_SIDE };
    const { features, state } = detector.convolve({ tensor: pixels, ...size, scale: 1, original: size });
    const [map] = features.maps as [Tensor];
    return 'maps' in state ? { features: map } : { features: map, ...state[0]! };
  });
  const { stride, channels } = backbone;
  const cell = graph.float(stride);
  const anchors = anchorGrid(graph, maps.features, Array.from(await detector.rpn.anchors.read()), { y: cell, x: cell });
  const rois =
    'logits' in maps ? proposals(graph, maps, anchors, image, config) : slidingWindows(graph, anchors, image, config);
  const side = Math.ceil(TRACED_SIDE / stride);
  const scored = network.add(
    {
      features: { shape: [1, channels, side, side], value: maps.features },
      rois: { shape: [TRACED_ROIS, 5], value: graph.node('Pad', [rois, graph.ints([0, 1, 0, 0])]) },
    },
    ({ features, rois }) => detector.head.forward({ maps: [features], scales: [1] }, rois, null),
  );
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
