/**
 * A detector as an ONNX model, from the pixels of an image to its objects: resizing, network, proposals and suppression, in
 * standard operators. The steps are those of kernels/imagePrepare.ts, proposals.ts and detections.ts.
 *
 *   image uint8 [height, width, 3], R, G, B
 *   boxes float [objects, 4]: x1, y1, x2, y2, pixels of the image; scores float [objects]; labels int64 [objects]; best first
 */
import { UserError } from '../engine/errors.ts';
import { backboneNamed } from '../model/backbones/index.ts';
import { CONVENTIONS } from '../model/conventions.ts';
import type { DetectorConfig, InputConfig } from '../model/config.ts';
import { type Detector, systemOf } from '../model/detector.ts';
import { Tensor } from '../engine/tensor.ts';
import { FasterRcnn } from '../model/fasterRcnn.ts';
import { decodeAndClip, suppress } from './boxes.ts';
import { OnnxGraph, type Value } from './graph.ts';
import { NetworkGraph } from './network.ts';
import { type OnnxModel, serializeOnnx } from './proto.ts';

const OPSET = 17;
/** Shapes while the network is traced; the model takes others. */
const TRACED_SIDE = 224;
const TRACED_ROIS = 8;
/** No limit of its own. */
const ALL = 2 ** 31 - 1;

export interface OnnxExportOptions {
  /** Of the program that writes the model. */
  version?: string;
}

/** The image as the network takes it, and its sizes: float32 of rank 0. */
interface Prepared {
  /** [1, 3, height, width] */
  tensor: Value;
  height: Value;
  width: Value;
  /** From the original image to the network's input. */
  scale: Value;
  original: { height: Value; width: Value };
}

/** In one-stage detection there are only features. */
type NetworkMaps = Record<'features', Tensor> | Record<'features' | 'logits' | 'deltas', Tensor>;

/**
 * The bytes of an ONNX file (opset 17, no operators of its own, any image size). The names of the classes are in its metadata
 * (`classes`, JSON; `labels` counts from the background, 0). Throws a UserError for a detector that ONNX has no form for.
 */
export async function exportOnnx(
  detector: Detector,
  options: OnnxExportOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return serializeOnnx(await onnxModel(detector, options));
}

export async function onnxModel(detector: Detector, { version = '' }: OnnxExportOptions = {}): Promise<OnnxModel> {
  const { config, gpu } = detector;
  if (!(detector instanceof FasterRcnn)) {
    const { pyramid } = backboneNamed(config.backbone);
    const what = pyramid ? `the feature pyramid of ${config.backbone}` : `detector.system ${systemOf(config)}`;
    throw new UserError(`${what} cannot be exported to ONNX yet; Faster R-CNN on one map can`);
  }
  if (config.input.scales) {
    throw new UserError(
      'detector.input.scales: a detector at several scales cannot be exported to ONNX; take a run without them',
    );
  }
  if (config.precision === 'f16')
    throw new UserError('a model in half precision cannot be exported to ONNX; load it in f32');
  if (config.rpn.test.without !== 'nothing') {
    throw new UserError(
      `rpn.test.without ${config.rpn.test.without} is for experiments and cannot be exported to ONNX`,
    );
  }
  const graph = new OnnxGraph();
  const network = new NetworkGraph(graph, gpu, [...Object.values(detector.parameters)]);
  const image = prepare(graph, 'image', config.input);
  const maps = network.add(
    { pixels: { shape: [1, 3, TRACED_SIDE, TRACED_SIDE], value: image.tensor } },
    ({ pixels }): NetworkMaps => {
      const size = { height: TRACED_SIDE, width: TRACED_SIDE };
      const { features, state } = detector.convolve({ tensor: pixels, ...size, scale: 1, original: size });
      const [map] = features.maps as [Tensor];
      return 'maps' in state ? { features: map } : { features: map, ...state[0]! };
    },
  );
  const { stride, channels } = detector.backbone;
  const anchors = anchorGrid(graph, maps.features, Array.from(await detector.rpn.anchors.read()), stride);
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
  detections(graph, rois, scored, image, config);
  await network.addParameters();
  return {
    opset: OPSET,
    producer: { name: 'webgpu-rcnn', version },
    metadata: { classes: JSON.stringify(config.classes) },
    name: config.backbone,
    nodes: graph.nodes,
    tensors: graph.tensors,
    inputs: [{ name: 'image', type: 'uint8', dims: ['height', 'width', 3] }],
    outputs: [
      { name: 'boxes', type: 'float', dims: ['objects', 4] },
      { name: 'scores', type: 'float', dims: ['objects'] },
      { name: 'labels', type: 'int64', dims: ['objects'] },
    ],
  };
}

/** Resizes bilinearly by one factor, as OpenCV does, and subtracts the mean (kernels/imagePrepare.ts). */
function prepare(graph: OnnxGraph, image: Value, input: InputConfig): Prepared {
  const [rows, columns] = [graph.extent(image, 0), graph.extent(image, 1)];
  // In float64, as a size could otherwise be rounded the other way.
  const [height, width] = [graph.cast(rows, 'double'), graph.cast(columns, 'double')];
  const [shorter, longer] = [graph.node('Min', [height, width]), graph.node('Max', [height, width])];
  const byShorter = graph.divide(graph.double(input.shorterSide), shorter);
  const isTooLong = graph.node('Greater', [
    graph.node('Round', [graph.multiply(byShorter, longer)]),
    graph.double(input.longerSide),
  ]);
  const scale = graph.node('Where', [isTooLong, graph.divide(graph.double(input.longerSide), longer), byShorter]);
  const resized = (side: Value): Value =>
    graph.node('Max', [graph.node('Round', [graph.multiply(side, scale)]), graph.double(1)]);
  const [newHeight, newWidth] = [resized(height), resized(width)];
  const step = graph.cast(graph.divide(graph.double(1), scale), 'float');

  /** Mixes neighbours along an axis of [3, rows, columns]. */
  const resample = (x: Value, axis: number, from: Value, to: Value): Value => {
    const places = graph.range(graph.cast(to, 'int64'));
    const source = graph.subtract(graph.multiply(graph.add(places, graph.float(0.5)), step), graph.float(0.5));
    const before = graph.node('Floor', [source]);
    const share = graph.subtract(source, before);
    const weight = graph.node('Unsqueeze', [share, graph.ints(axis === 2 ? [0, 1] : [0, 2])]);
    const last = graph.subtract(graph.cast(from, 'float'), graph.float(1));
    const at = (place: Value): Value => {
      const inside = graph.node('Max', [graph.node('Min', [place, last]), graph.float(0)]);
      return graph.gather(x, graph.cast(inside, 'int64'), axis);
    };
    return graph.add(
      graph.multiply(at(before), graph.subtract(graph.float(1), weight)),
      graph.multiply(at(graph.add(before, graph.float(1))), weight),
    );
  };
  const planes = graph.transpose(graph.cast(image, 'float'), [2, 0, 1]);
  const mixed = resample(resample(planes, 2, width, newWidth), 1, height, newHeight);
  const ordered = input.channels === 'bgr' ? graph.gather(mixed, graph.ints([2, 1, 0]), 0) : mixed;
  const centred = graph.subtract(ordered, graph.floats(input.mean, [3, 1, 1]));
  const tensor = graph.node('Unsqueeze', [
    graph.multiply(centred, graph.floats(input.factor, [3, 1, 1])),
    graph.ints([0]),
  ]);
  const asFloat = (x: Value): Value => graph.cast(x, 'float');
  return {
    tensor,
    height: asFloat(newHeight),
    width: asFloat(newWidth),
    scale: asFloat(scale),
    original: { height: asFloat(height), width: asFloat(width) },
  };
}

/** All anchors [H*W*A, 4], in the order of their index: row, column, anchor. */
function anchorGrid(graph: OnnxGraph, features: Value, base: readonly number[], stride: number): Value {
  const along = (axis: number, dims: readonly number[]): Value =>
    graph.reshape(graph.multiply(graph.range(graph.extent(features, axis)), graph.float(stride)), dims);
  const [y, x] = [along(2, [-1, 1, 1, 1]), along(3, [1, -1, 1, 1])];
  const shifts = graph.add(
    graph.multiply(x, graph.floats([1, 0, 1, 0])),
    graph.multiply(y, graph.floats([0, 1, 0, 1])),
  );
  const anchors = graph.add(shifts, graph.floats(base, [base.length / 4, 4]));
  return graph.reshape(anchors, [-1, 4]);
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
  // [1, A, H, W] -> [H, W, A]
  const perAnchor = graph.transpose(graph.subtract(object, background), [0, 2, 3, 1]);
  const scores = graph.reshape(perAnchor, [-1]);
  // Channel a*4 + k, so [1, 4A, H, W] -> [H, W, A, 4].
  const moves = graph.reshape(graph.transpose(deltas, [0, 2, 3, 1]), [-1, 4]);
  const boxes = decodeAndClip(graph, anchors, moves, image, rules);
  const isLarge = isLargeEnough(graph, boxes, graph.multiply(graph.float(rpn.minSize), image.scale), rules.plusOne);
  const keep = (x: Value): Value => graph.node('Compress', [x, isLarge], { axis: 0 });
  const [keptBoxes, keptScores] = [keep(boxes), keep(scores)];
  const most = graph.node('Min', [graph.extent(keptScores, 0), graph.int(rpn.test.preNms)]);
  const [, places] = graph.topK(keptScores, most);
  const sorted = graph.gather(keptBoxes, places, 0);
  // Suppression keeps the order of the sorting, so ranks take the place of scores; they have no ties.
  const ranks = graph.node('Neg', [graph.range(most)]);
  const kept = suppress(
    graph,
    graph.node('Unsqueeze', [sorted, graph.ints([0])]),
    graph.node('Unsqueeze', [ranks, graph.ints([0, 1])]),
    rules,
    { threshold: rpn.nmsThreshold, most: rpn.test.postNms },
  );
  return graph.gather(sorted, graph.gather(kept, graph.int(2), 1), 0);
}

/** All anchors in the image in place of proposals: one-stage detection (model/rpn.ts). */
function slidingWindows(graph: OnnxGraph, anchors: Value, image: Prepared, { convention }: DetectorConfig): Value {
  const rules = CONVENTIONS[convention];
  const boxes = decodeAndClip(graph, anchors, graph.floats([0, 0, 0, 0], [1, 4]), image, rules);
  return graph.node('Compress', [boxes, isLargeEnough(graph, boxes, graph.float(1), rules.plusOne)], { axis: 0 });
}

/** bool [N]: whether both sides of a box are at least so long. */
function isLargeEnough(graph: OnnxGraph, boxes: Value, least: Value, plusOne: number): Value {
  const [corner, opposite] = graph.split(boxes, -1, [2, 2]) as [Value, Value];
  const sides = graph.add(graph.subtract(opposite, corner), graph.float(plusOne));
  return graph.node('GreaterOrEqual', [graph.node('ReduceMin', [sides], { axes: [1], keepdims: 0 }), least]);
}

/** Scores and deltas of the RoIs -> the three outputs (kernels/detections.ts). */
function detections(
  graph: OnnxGraph,
  rois: Value,
  { logits, deltas }: { logits: Value; deltas: Value },
  image: Prepared,
  { classes, head, test, convention }: DetectorConfig,
): void {
  const rules = CONVENTIONS[convention];
  // Without the background: [K - 1, R] and [K - 1, R, 4].
  const objects = (x: Value): Value => graph.split(x, 0, [1, classes.length - 1])[1]!;
  const probabilities = objects(graph.transpose(graph.node('Softmax', [logits], { axis: 1 }), [1, 0]));
  const moves = objects(graph.transpose(graph.reshape(deltas, [0, classes.length, 4]), [1, 0, 2]));
  const boxes = decodeAndClip(
    graph,
    graph.divide(rois, image.scale),
    graph.multiply(moves, graph.floats(head.targetStds)),
    image.original,
    rules,
  );
  const scores = graph.node('Unsqueeze', [probabilities, graph.ints([1])]);
  const kept = suppress(graph, boxes, scores, rules, {
    threshold: test.nmsThreshold,
    most: ALL,
    above: test.scoreThreshold,
  });
  const at = graph.gather(kept, graph.ints([0, 2]), 1);
  const keptScores = graph.node('GatherND', [probabilities, at]);
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
  graph.rename(graph.gather(keptBoxes, order, 0), 'boxes');
  graph.rename(sortedScores, 'scores');
  graph.rename(graph.gather(labels, order, 0), 'labels');
}
