/** Operations that take or find places in ONNX. */
import { cumsumOperation } from '../../engine/ops/cumulativeSum.ts';
import { EXTREMUM_OPERATIONS, PLACE_OPERATIONS, topKOperation, topKPlacesOperation } from '../../engine/ops/extrema.ts';
import { embeddingOperation, gatherOperation } from '../../engine/ops/gather.ts';
import type { OnnxGraph, Value } from '../graph.ts';
import { Forms, keeps, resolve } from './converting.ts';

export const indexForms = new Forms();
const { convert } = indexForms;

/**
 * Indices for ONNX, which counts negative ones from the end and refuses those that are too large: 0 in place of one that does not
 * exist below `limit`. What is taken there becomes NaN.
 */
function checkedIndices(graph: OnnxGraph, indices: Value, limit: number | Value): { at: Value; exists: Value } {
  const [zero, end] = [graph.int32(0), typeof limit === 'number' ? graph.int32(limit) : graph.cast(limit, 'int32')];
  const exists = graph.node('And', [graph.node('GreaterOrEqual', [indices, zero]), graph.node('Less', [indices, end])]);
  return { at: graph.node('Where', [exists, indices, zero]), exists };
}

convert(gatherOperation, (converting) => {
  const { graph, values, saved, valueOf } = converting;
  const { axis, x, indices } = saved;
  const limit = resolve(converting, ({ inputs }) => inputs[0]!.shape[axis]!) ?? x.shape[axis]!;
  const { at, exists } = checkedIndices(graph, valueOf(indices), limit);
  const picked = graph.node('GatherElements', [values[0]!, at], { axis });
  return graph.node('Where', [exists, picked, graph.float(NaN)]);
});

convert(embeddingOperation, (converting) => {
  const { graph, values, saved, valueOf } = converting;
  const { table, indices } = saved;
  const limit = resolve(converting, ({ inputs }) => inputs[0]!.shape[0]!) ?? table.shape[0]!;
  const { at, exists } = checkedIndices(graph, valueOf(indices), limit);
  const rows = graph.gather(values[0]!, at, 0);
  return graph.node('Where', [graph.node('Unsqueeze', [exists, graph.ints([-1])]), rows, graph.float(NaN)]);
});

convert(cumsumOperation, ({ graph, values, saved: { axis } }) => graph.node('CumSum', [values[0]!, graph.int(axis)]));

for (const [name, own] of Object.entries(EXTREMUM_OPERATIONS))
  convert(own, ({ graph, values, inputs, output, saved: { axes } }) => {
    const type = name === 'max' ? 'ReduceMax' : 'ReduceMin';
    return axes.length === 0
      ? values[0]!
      : graph.node(type, [values[0]!], { axes, keepdims: keeps(output, inputs[0]!.shape) });
  });

for (const [name, own] of Object.entries(PLACE_OPERATIONS))
  convert(own, ({ graph, values, saved: { axis } }) => {
    const type = name === 'argMax' ? 'ArgMax' : 'ArgMin';
    return graph.cast(graph.node(type, [values[0]!], { axis, keepdims: 0 }), 'int32');
  });

convert(topKOperation, ({ graph, values, saved: { k, axis } }) => graph.topK(values[0]!, graph.int(k), axis)[0]);
convert(topKPlacesOperation, ({ graph, values, saved: { k, axis } }) =>
  graph.cast(graph.topK(values[0]!, graph.int(k), axis)[1], 'int32'),
);
