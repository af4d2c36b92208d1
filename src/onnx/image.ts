/** The image as a network takes it, in an ONNX graph: resized, normalised, padded (kernels/imagePrepare.ts). */
import type { InputConfig } from '../model/config.ts';
import type { OnnxGraph, Value } from './graph.ts';

/** float32 of rank 0. */
export interface Size {
  height: Value;
  width: Value;
}

/** The image as the network takes it, and its sizes: float32 of rank 0. */
export interface Prepared extends Size {
  /** [1, 3, height, width], with zeros below and right of it where it is padded. */
  tensor: Value;
  /** From the original image to the network's input. */
  scale: Value;
  original: Size;
}

/** float64 of rank 0, since a size could otherwise be rounded the other way. */
interface Placement extends Size {
  /** From the original image to the network's input. */
  scale: Value;
  /** Pixels of the original image per pixel of the input. */
  perY: Value;
  perX: Value;
}

/** How the size of the network's input follows from that of an image, whose extents are float64 of rank 0. */
export type Resizing = (graph: OnnxGraph, original: Size, input: InputConfig) => Placement;

/** One factor for both axes, as py-faster-rcnn (kernels/imagePrepare.ts, `resizedSize`). */
export const byOneScale: Resizing = (graph, { height, width }, { shorterSide, longerSide }) => {
  const [shorter, longer] = [graph.node('Min', [height, width]), graph.node('Max', [height, width])];
  const byShorter = graph.divide(graph.double(shorterSide), shorter);
  const isTooLong = graph.node('Greater', [
    graph.node('Round', [graph.multiply(byShorter, longer)]),
    graph.double(longerSide),
  ]);
  const scale = graph.node('Where', [isTooLong, graph.divide(graph.double(longerSide), longer), byShorter]);
  const side = (length: Value): Value =>
    graph.node('Max', [graph.node('Round', [graph.multiply(length, scale)]), graph.double(1)]);
  const per = graph.divide(graph.double(1), scale);
  return { height: side(height), width: side(width), scale, perY: per, perX: per };
};

/** Each axis by the ratio of its own sizes. */
function byAxis(graph: OnnxGraph, original: Size, sides: Size): Placement {
  const [height, width] = [sides.height, sides.width].map((side) =>
    graph.node('Max', [graph.node('Floor', [side]), graph.double(1)]),
  ) as [Value, Value];
  return {
    height,
    width,
    scale: graph.divide(height, original.height),
    perY: graph.divide(original.height, height),
    perX: graph.divide(original.width, width),
  };
}

/** Rounded down after torchvision's arithmetic in float32 (model/pyramidRcnn.ts, `flooredSize`). */
export const floored: Resizing = (graph, original, { shorterSide, longerSide }) => {
  const { height, width } = original;
  const quotient = (side: number, length: Value): Value =>
    graph.multiply(graph.float(side), graph.cast(graph.divide(graph.double(1), length), 'float'));
  const scale = graph.cast(
    graph.node('Min', [
      quotient(shorterSide, graph.node('Min', [height, width])),
      quotient(longerSide, graph.node('Max', [height, width])),
    ]),
    'double',
  );
  return byAxis(graph, original, { height: graph.multiply(height, scale), width: graph.multiply(width, scale) });
};

/** Rounded to the nearest, as detectron2 (model/pyramidRcnn.ts, `nearestSize`). */
export const nearest: Resizing = (graph, original, { shorterSide, longerSide }) => {
  const { height, width } = original;
  const [shorter, longest] = [graph.double(shorterSide), graph.double(longerSide)];
  const scale = graph.divide(shorter, graph.node('Min', [height, width]));
  const isWide = graph.node('Less', [height, width]);
  const tall = graph.node('Where', [isWide, shorter, graph.multiply(height, scale)]);
  const wide = graph.node('Where', [isWide, graph.multiply(width, scale), shorter]);
  const longer = graph.node('Max', [tall, wide]);
  const isTooLong = graph.node('Greater', [longer, longest]);
  const side = (length: Value): Value =>
    graph.add(
      graph.node('Where', [isTooLong, graph.multiply(length, graph.divide(longest, longer)), length]),
      graph.double(0.5),
    );
  return byAxis(graph, original, { height: side(tall), width: side(wide) });
};

/**
 * Resizes bilinearly, as OpenCV does, and subtracts the mean; then zeros until both sides are multiples of `paddedTo` pixels.
 * @param image uint8 [height, width, 3], R, G, B
 */
export function prepare(
  graph: OnnxGraph,
  image: Value,
  input: InputConfig,
  resizing: Resizing,
  paddedTo = 1,
): Prepared {
  const extents = [graph.extent(image, 0), graph.extent(image, 1)];
  const [rows, columns] = extents.map((extent) => graph.cast(extent, 'double')) as [Value, Value];
  const { height, width, scale, perY, perX } = resizing(graph, { height: rows, width: columns }, input);

  /** Mixes neighbours along an axis of [3, rows, columns]. */
  const resample = (x: Value, axis: number, from: Value, to: Value, per: Value): Value => {
    const places = graph.range(graph.cast(to, 'int64'));
    const centres = graph.multiply(graph.add(places, graph.float(0.5)), graph.cast(per, 'float'));
    const source = graph.subtract(centres, graph.float(0.5));
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
  const mixed = resample(resample(planes, 2, columns, width, perX), 1, rows, height, perY);
  const ordered = input.channels === 'bgr' ? graph.gather(mixed, graph.ints([2, 1, 0]), 0) : mixed;
  const centred = graph.subtract(ordered, graph.floats(input.mean, [3, 1, 1]));
  const whole = graph.node('Unsqueeze', [
    graph.multiply(centred, graph.floats(input.factor, [3, 1, 1])),
    graph.ints([0]),
  ]);
  const asFloat = (x: Value): Value => graph.cast(x, 'float');
  return {
    tensor: paddedTo === 1 ? whole : padded(graph, whole, { height, width }, paddedTo),
    height: asFloat(height),
    width: asFloat(width),
    scale: asFloat(scale),
    original: { height: asFloat(rows), width: asFloat(columns) },
  };
}

/** `size`: of x [1, 3, height, width], float64. */
function padded(graph: OnnxGraph, x: Value, { height, width }: Size, unit: number): Value {
  const missing = [height, width].map((side) => {
    const units = graph.node('Ceil', [graph.divide(side, graph.double(unit))]);
    const more = graph.subtract(graph.multiply(units, graph.double(unit)), side);
    return graph.reshape(graph.cast(more, 'int64'), [1]);
  });
  return graph.node('Pad', [x, graph.node('Concat', [graph.ints([0, 0, 0, 0, 0, 0]), ...missing], { axis: 0 })]);
}
