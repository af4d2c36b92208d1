/** Faster R-CNN on a feature pyramid, or on one map with an RPN of the same kind, in an ONNX graph (model/pyramidRcnn.ts). */
import type { Tensor } from '../engine/tensor.ts';
import type { DetectorConfig } from '../model/config.ts';
import { CONVENTIONS } from '../model/conventions.ts';
import type { PyramidRcnn } from '../model/pyramidRcnn.ts';
import { anchorGrid, decodeAndClip, isLargeEnough, perAnchor, suppressSorted } from './boxes.ts';
import { preparedImage, tracedImage, tracedRois } from './detectorInputs.ts';
import { detections, type Objects } from './detections.ts';
import type { OnnxGraph, Value } from './graph.ts';
import { floored, nearest, prepare, type Prepared } from './image.ts';
import type { NetworkGraph, TracedTensor } from './network.ts';

export async function pyramidDetector(
  graph: OnnxGraph,
  network: NetworkGraph,
  detector: PyramidRcnn,
  pixels: Value,
): Promise<Objects> {
  const { config, rpn, paddedTo } = detector;
  const image = prepare(graph, pixels, config.input, config.convention === 'detectron2' ? nearest : floored, paddedTo);
  const maps: Record<string, TracedTensor> = network.add(
    tracedImage(image.tensor),
    ({ pixels }): Record<string, Tensor> => {
      const { features, state } = detector.convolve(preparedImage(pixels));
      return Object.fromEntries(
        state.maps.flatMap(({ logits, deltas }, k) => [
          [`features${k}`, features[k]!],
          [`logits${k}`, logits],
          [`deltas${k}`, deltas],
        ]),
      );
    },
  );
  const levels = [];
  for (const [k, base] of rpn.baseAnchors.entries()) {
    const features = maps[`features${k}`]!.value;
    const strides = stridesOf(graph, features, image, rpn.fixedStride(k));
    const anchors = anchorGrid(graph, features, Array.from(await base.read()), strides);
    const outputs = { logits: maps[`logits${k}`]!.value, deltas: maps[`deltas${k}`]!.value };
    levels.push(levelProposals(graph, outputs, anchors, image, config));
  }
  const rois = bestOf(graph, levels, config.rpn.test.postNms);
  const features = rpn.baseAnchors.map((_, k) => maps[`features${k}`]!);
  const { logits, deltas } = network.add(
    {
      ...Object.fromEntries(features.map((level, k) => [`${k}`, level])),
      rois: tracedRois(graph, rois),
    },
    (given: Record<string, Tensor>) => {
      const maps = features.map((_, k) => given[`${k}`]!);
      return detector.head.forward(maps, given['rois']!, null);
    },
  );
  const scored = { logits: logits.value, deltas: deltas.value };
  const found = detections(graph, rois, scored, image, config);
  const perAxis = (['width', 'height'] as const).map((side) => graph.divide(image.original[side], image[side]));
  const scaled = graph.multiply(found.boxes, graph.vector([...perAxis, ...perAxis]));
  // Continuous corners there, inclusive ones here.
  return { ...found, boxes: graph.subtract(scaled, graph.floats([0, 0, 1, 1])) };
}

/** Pixels per cell of a level: float32 of rank 0. Without a `fixed` stride, whole pixels, rounded down. */
function stridesOf(graph: OnnxGraph, level: Value, image: Prepared, fixed: number | null): { y: Value; x: Value } {
  if (fixed !== null) return { y: graph.float(fixed), x: graph.float(fixed) };
  const along = (axis: number): Value =>
    graph.cast(graph.divide(graph.extent(image.tensor, axis), graph.extent(level, axis)), 'float');
  return { y: along(2), x: along(3) };
}

/** Boxes [P, 4] of a level and their logits [P], best first (kernels/pyramidProposals.ts). */
interface LevelProposals {
  boxes: Value;
  logits: Value;
}

function levelProposals(
  graph: OnnxGraph,
  { logits, deltas }: { logits: Value; deltas: Value },
  anchors: Value,
  image: Prepared,
  { rpn, convention }: DetectorConfig,
): LevelProposals {
  const rules = CONVENTIONS[convention];
  const all = perAnchor(graph, logits, 1);
  const most = graph.node('Min', [graph.extent(all, 0), graph.int(rpn.test.preNms)]);
  const [best, places] = graph.topK(all, most);
  const [at, moves] = [anchors, perAnchor(graph, deltas, 4)].map((x) => graph.gather(x, places, 0)) as [Value, Value];
  const boxes = decodeAndClip(graph, at, moves, image, rules);
  const isLarge = isLargeEnough(graph, boxes, graph.multiply(graph.float(rpn.minSize), image.scale), rules);
  const isGood = rpn.scoreThreshold
    ? graph.node('GreaterOrEqual', [graph.node('Sigmoid', [best]), graph.float(rpn.scoreThreshold)])
    : null;
  const remains = isGood ? graph.node('And', [isLarge, isGood]) : isLarge;
  const keep = (x: Value): Value => graph.node('Compress', [x, remains], { axis: 0 });
  const candidates = keep(boxes);
  const limits = { threshold: rpn.nmsThreshold, most: rpn.test.postNms };
  const kept = suppressSorted(graph, candidates, rules, limits);
  return { boxes: graph.gather(candidates, kept, 0), logits: graph.gather(keep(best), kept, 0) };
}

/** The `most` best boxes of all levels, [P, 4]. */
function bestOf(graph: OnnxGraph, levels: readonly LevelProposals[], most: number): Value {
  const all = (part: keyof LevelProposals): Value =>
    graph.node(
      'Concat',
      levels.map((level) => level[part]),
      { axis: 0 },
    );
  const logits = all('logits');
  const [, places] = graph.topK(logits, graph.node('Min', [graph.extent(logits, 0), graph.int(most)]));
  return graph.gather(all('boxes'), places, 0);
}
