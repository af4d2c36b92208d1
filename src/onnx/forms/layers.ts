/** Layers in ONNX: convolutions, products with weights, pooling, normalisation. */
import { UserError } from '../../engine/errors.ts';
import { batchNormOperation, foldBiasOperation, foldOperation } from '../../engine/ops/batchNorm.ts';
import { conv2dOperation, groupedConv2dOperation } from '../../engine/ops/conv2d.ts';
import { convTranspose2dOperation } from '../../engine/ops/convTranspose2d.ts';
import { linearOperation } from '../../engine/ops/linear.ts';
import { lrnOperation } from '../../engine/ops/localResponseNorm.ts';
import { matmulOperation } from '../../engine/ops/matmul.ts';
import { normaliseOperation } from '../../engine/ops/normalisation.ts';
import { averagePoolOperation, maxPoolOperation } from '../../engine/ops/pooling.ts';
import type { GroupedConvShape } from '../../kernels/groupedConv.ts';
import type { OnnxGraph, Value } from '../graph.ts';
import { Forms, operands, rectified } from './converting.ts';

export const layerForms = new Forms();
const { convert } = layerForms;

convert(conv2dOperation, (converting) => {
  const { graph, saved } = converting;
  const y = convolution(graph, operands(converting), { ...saved.shape, groups: 1, dilation: 1 });
  return rectified(graph, y, saved.rectified !== null);
});

convert(groupedConv2dOperation, (converting) => {
  const { graph, saved } = converting;
  return rectified(graph, convolution(graph, operands(converting), saved.shape), saved.rectified !== null);
});

function convolution(
  graph: OnnxGraph,
  values: readonly Value[],
  { R, S, stride, pad, groups, dilation }: GroupedConvShape,
): Value {
  return graph.node('Conv', values, {
    kernel_shape: [R, S],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
    dilations: [dilation, dilation],
    group: groups,
  });
}

convert(convTranspose2dOperation, ({ graph, values, saved: { shape } }) => {
  const { H, W, OH, OW, R, S, stride, pad } = shape;
  return graph.node('ConvTranspose', values, {
    kernel_shape: [R, S],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
    output_padding: [H - (OH - 1) * stride + 2 * pad - R, W - (OW - 1) * stride + 2 * pad - S],
  });
});

convert(linearOperation, (converting) => {
  const { graph, saved } = converting;
  return rectified(graph, graph.node('Gemm', operands(converting), { transB: 1 }), saved.rectified !== null);
});

convert(matmulOperation, ({ graph, values, inputs, saved: { transposeA, transposeB } }) => {
  const turned = [transposeA, transposeB];
  const factors = values.map((value, i) => {
    const axes = inputs[i]!.shape.map((_, axis) => axis);
    const [row, column] = axes.slice(-2) as [number, number];
    return turned[i] ? graph.transpose(value, [...axes.slice(0, -2), column, row]) : value;
  });
  return graph.node('MatMul', factors);
});

convert(maxPoolOperation, ({ graph, values, saved: { window } }) => {
  const { kernel, stride, padding, ceilMode } = window;
  // Caffe drops a last window that would begin beyond the map; runtimes differ there, so only windows that never do.
  if (ceilMode && padding + stride - 1 >= kernel) {
    throw new UserError(
      `the operation maxPool2d, ${kernel}x${kernel}, stride ${stride}, padding ${padding}, rounded up, has no exact form in ONNX`,
    );
  }
  return graph.node('MaxPool', values, {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    ceil_mode: Number(ceilMode),
  });
});

convert(averagePoolOperation, ({ graph, values, saved: { window } }) => {
  const { kernel, stride, padding, ceilMode } = window;
  if (ceilMode)
    throw new UserError('the operation averagePool2d has no exact form in ONNX where it rounds up (ceilMode)');
  return averagePool(graph, values[0]!, kernel, stride, padding);
});

const averagePool = (graph: OnnxGraph, x: Value, kernel: number, stride: number, padding: number): Value =>
  graph.node('AveragePool', [x], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    count_include_pad: 1,
  });

convert(lrnOperation, ({ graph, values, saved: { mode, uniforms } }) => {
  const { size, alpha, beta, k } = uniforms;
  const x = values[0]!;
  if (mode === 'across') {
    return graph.node('LRN', [x], { size, alpha: { float: alpha }, beta: { float: beta }, bias: { float: k } });
  }
  const squares = averagePool(graph, graph.multiply(x, x), size, 1, (size - 1) / 2);
  const scale = graph.add(graph.multiply(squares, graph.float(alpha)), graph.float(k));
  return graph.multiply(x, graph.node('Pow', [scale, graph.float(-beta)]));
});

convert(batchNormOperation, ({ graph, values: [x, weight, bias], saved, valueOf }) => {
  if (saved.training)
    throw new UserError(
      'the operation batchNorm by the statistics of a batch is for training: call train(false) on the network',
    );
  const { mean, variance, epsilon } = saved;
  return graph.node('BatchNormalization', [x!, weight!, bias!, valueOf(mean), valueOf(variance)], {
    epsilon: { float: epsilon },
  });
});

/** weight / sqrt(variance + epsilon) */
const foldedScale = (graph: OnnxGraph, weight: Value, variance: Value, epsilon: number): Value =>
  graph.divide(weight, graph.node('Sqrt', [graph.add(variance, graph.float(epsilon))]));

convert(foldOperation, ({ graph, values, output, saved: { variance, weight, uniforms }, valueOf }) => {
  const scale = foldedScale(graph, valueOf(weight), valueOf(variance), uniforms.epsilon);
  return graph.multiply(values[0]!, graph.reshape(scale, [-1, ...output.shape.slice(1).map(() => 1)]));
});

convert(foldBiasOperation, ({ graph, values: [weight, bias, mean], saved: { variance, epsilon }, valueOf }) =>
  graph.subtract(bias!, graph.multiply(mean!, foldedScale(graph, weight!, valueOf(variance), epsilon))),
);

convert(normaliseOperation, ({ graph, values, inputs, saved: { view, epsilon } }) => {
  const { shape, size } = inputs[0]!;
  const rowsOf = (axes: number): number => shape.slice(-axes).reduce((product, extent) => product * extent, 1);
  const last = shape.findIndex((_, i) => rowsOf(i + 1) === view.inner) + 1;
  // Over last axes, or else over groups of channels, which are made an axis of their own.
  const x = last > 0 ? values[0]! : graph.reshape(values[0]!, [0, size / view.inner / shape[0]!, -1]);
  const axes = Array.from({ length: Math.max(1, last) }, (_, i) => -1 - i).reverse();
  const average = (x: Value): Value => graph.node('ReduceMean', [x], { axes, keepdims: 1 });
  const difference = graph.subtract(x, average(x));
  const variance = average(graph.node('Pow', [difference, graph.float(2)]));
  const y = graph.divide(difference, graph.node('Sqrt', [graph.add(variance, graph.float(epsilon))]));
  return last > 0 ? y : graph.node('Reshape', [y, graph.node('Shape', [values[0]!])]);
});
