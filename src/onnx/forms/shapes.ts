/** Values in other shapes and places in ONNX. */
import { concatOperation, permuteOperation, sliceOperation } from '../../engine/ops/axes.ts';
import { broadcastToOperation } from '../../engine/ops/broadcastTo.ts';
import { padOperation } from '../../engine/ops/joining.ts';
import { reshapeOperation } from '../../engine/ops/reshape.ts';
import { filledOperation, valuesOperation, viewOperation } from '../../engine/trace.ts';
import type { Value } from '../graph.ts';
import { type Converting, Forms, isFixed, join, resolve, shapeOf } from './converting.ts';

export const shapeForms = new Forms();
const { convert } = shapeForms;

/** No limit. */
const ALL = 2 ** 31 - 1;

convert(concatOperation, ({ graph, values, inputs, output }) => {
  const axis = output.shape.findIndex((extent, i) => extent !== inputs[0]!.shape[i]);
  return axis < 0 ? values[0]! : graph.node('Concat', values, { axis });
});

convert(permuteOperation, ({ graph, values, saved }) => graph.transpose(values[0]!, saved.order));

function reshaped<S>(converting: Converting<S>): Value {
  const { graph, values, output, across } = converting;
  // 0 copies the extent of that axis of x; a single -1 is whatever remains.
  let dims = output.shape.map((extent, axis): number | Value | null => {
    const extents = across((traced) => traced.output.shape[axis]!);
    const stays = across(({ inputs }) => inputs[0]!.shape[axis] ?? -1).every((other, i) => other === extents[i]);
    return isFixed(extents) ? extent : stays ? 0 : null;
  });
  if (dims.filter((dim) => dim === null).length > 1)
    dims = dims.map((dim, axis) => dim ?? resolve(converting, (traced) => traced.output.shape[axis]!));
  const rest = dims.indexOf(null);
  const shape = dims.map((dim, axis) => dim ?? (axis === rest ? -1 : output.shape[axis]!));
  return graph.node('Reshape', [values[0]!, join(graph, shape)]);
}

convert(reshapeOperation, reshaped);
convert(viewOperation, reshaped);
convert(valuesOperation, ({ graph, output, saved }) => graph.constant(saved, output.shape));

convert(filledOperation, (converting) => {
  const { graph, output, saved } = converting;
  const value = graph.float(saved.value);
  return output.shape.length === 0 ? value : graph.node('Expand', [value, shapeOf(converting)]);
});

convert(broadcastToOperation, (converting) => {
  const { graph, values } = converting;
  return graph.node('Expand', [values[0]!, shapeOf(converting)]);
});

convert(sliceOperation, ({ graph, values, inputs, saved: { axis, from, to }, across }) => {
  // Counted from the end where it lies a fixed distance away from that.
  const place = (end: 'from' | 'to', own: number): number => {
    const fromEnd = across(({ inputs, saved }) => saved[end] - inputs[0]!.shape[axis]!);
    return isFixed(across(({ saved }) => saved[end])) || !isFixed(fromEnd) ? own : own - inputs[0]!.shape[axis]!;
  };
  const [start, end] = [place('from', from), place('to', to)];
  const bounds = [start, end === 0 ? ALL : end].map((bound) => graph.ints([bound]));
  return graph.node('Slice', [values[0]!, ...bounds, graph.ints([axis])]);
});

convert(padOperation, ({ graph, values, saved: { widths, value } }) => {
  const ends = [0, 1].flatMap((end) => widths.map((width) => width[end]!));
  return graph.node('Pad', [values[0]!, graph.ints(ends), graph.float(value)]);
});
