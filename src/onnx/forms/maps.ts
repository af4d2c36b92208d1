/** Regions of maps and maps of other sizes in ONNX. */
import { UserError } from '../../engine/errors.ts';
import { roiAlignOperation, roiPoolOperation } from '../../engine/ops/rois.ts';
import { upsampleBilinearOperation, upsampleNearestOperation } from '../../engine/ops/upsample.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Value } from '../graph.ts';
import { type Converting, extentOf, Forms, isFixed, join, resolve } from './converting.ts';

export const mapForms = new Forms();
const { convert } = mapForms;

/** A size that is no extent of a map is written as a multiple of that of x. */
function resize<S extends { like: Tensor | null }>(
  converting: Converting<S>,
  attributes: Readonly<Record<string, string>>,
): Value {
  const { graph, values, inputs, output, saved, across, valueOf } = converting;
  const x = values[0]!;
  const side = (axis: number): number | Value => {
    if (saved.like) return extentOf(graph, valueOf(saved.like), axis);
    const own = output.shape[axis]!;
    if (isFixed(across(({ output }) => output.shape[axis]!))) return own;
    const times = own / inputs[0]!.shape[axis]!;
    const isMultiple = isFixed(across(({ inputs, output }) => output.shape[axis]! / inputs[0]!.shape[axis]!));
    if (isMultiple && Number.isInteger(times)) return graph.multiply(extentOf(graph, x, axis), graph.ints([times]));
    return resolve(converting, ({ output }) => output.shape[axis]!) ?? own;
  };
  const planes = graph.gather(graph.node('Shape', [x]), graph.ints([0, 1]), 0);
  const size = graph.node('Concat', [planes, join(graph, [side(2), side(3)])], { axis: 0 });
  return graph.node('Resize', [x, '', '', size], attributes);
}

convert(upsampleNearestOperation, (converting) =>
  resize(converting, { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
);

convert(upsampleBilinearOperation, (converting) =>
  resize(converting, { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
);

convert(roiPoolOperation, ({ graph, values, saved: { rois, uniforms }, valueOf }) => {
  const [first, ...others] = uniforms;
  if (!first || others.length > 0) throw new UserError('the operation roiPool of several maps has no form in ONNX');
  const { pooledH, pooledW, scale } = first;
  // Caffe's rounding in both.
  return graph.node('MaxRoiPool', [values[0]!, valueOf(rois)], {
    pooled_shape: [pooledH, pooledW],
    spatial_scale: { float: scale },
  });
});

convert(roiAlignOperation, ({ graph, values, saved: { rois, passes }, valueOf }) => {
  const [pass, ...others] = passes;
  if (!pass || others.length > 0)
    throw new UserError('the operation roiAlign of maps by their number has no form in ONNX');
  const { levels, bounds, pooledH, pooledW, sampling, aligned } = pass.shape;
  const [images, corners] = graph.split(valueOf(rois), 1, [1, 4]) as [Value, Value];
  const batch = graph.cast(graph.reshape(images, [-1]), 'int64');
  const align = (level: number, boxes: Value, of: Value): Value =>
    graph.node('RoiAlign', [values[level]!, boxes, of], {
      mode: 'avg',
      output_height: pooledH,
      output_width: pooledW,
      sampling_ratio: sampling,
      spatial_scale: { float: levels[level]!.scale },
      coordinate_transformation_mode: aligned ? 'half_pixel' : 'output_half_pixel',
    });
  if (levels.length === 1) return align(0, corners, batch);

  // The regions of each level by themselves, one level after another, and then in their own order again.
  const [corner, opposite] = graph.split(corners, 1, [2, 2]) as [Value, Value];
  const [widths, heights] = graph.split(graph.subtract(opposite, corner), 1, [1, 1]) as [Value, Value];
  const area = graph.reshape(graph.multiply(widths, heights), [-1]);
  const reaches = bounds.map((bound) => graph.node('GreaterOrEqual', [area, graph.float(bound)]));
  const places = levels.map((_, level) => {
    const least = reaches[level - 1];
    const above = reaches[level] && graph.node('Not', [reaches[level]]);
    const isHere = least && above ? graph.node('And', [least, above]) : (least ?? above)!;
    return graph.reshape(graph.node('NonZero', [isHere]), [-1]);
  });
  const pooled = places.map((at, level) => align(level, graph.gather(corners, at, 0), graph.gather(batch, at, 0)));
  const order = graph.node('Concat', places, { axis: 0 });
  const numbers = graph.node('Range', [graph.int(0), graph.extent(order, 0), graph.int(1)]);
  const inverse = graph.node('ScatterElements', [order, order, numbers], { axis: 0 });
  return graph.gather(graph.node('Concat', pooled, { axis: 0 }), inverse, 0);
});
