/** Functions of each element in ONNX; softmax; sums. */
import type { Operation } from '../../engine/autograd.ts';
import { addOperation, scaleOperation } from '../../engine/ops/arithmetic.ts';
import { causalOperation } from '../../engine/ops/attention.ts';
import { softmaxOperation } from '../../engine/ops/axes.ts';
import {
  addBroadcastOperation,
  COMPARISON_OPERATIONS,
  divideOperation,
  maximumOperation,
  minimumOperation,
  multiplyOperation,
  powOperation,
  subtractOperation,
} from '../../engine/ops/binary.ts';
import { castOperation } from '../../engine/ops/cast.ts';
import { clipOperation } from '../../engine/ops/clip.ts';
import { logSoftmaxOperation } from '../../engine/ops/logSoftmax.ts';
import { addReluOperation, reluOperation, UNARY_OPERATIONS } from '../../engine/ops/pointwise.ts';
import { meanOperation, sumOperation } from '../../engine/ops/sums.ts';
import { whereOperation } from '../../engine/ops/where.ts';
import type { UnaryName } from '../../kernels/unary.ts';
import type { OnnxGraph, Value } from '../graph.ts';
import { Forms, keeps } from './converting.ts';

export const elementwiseForms = new Forms();
const { convert } = elementwiseForms;

convert(reluOperation, ({ graph, values }) => graph.node('Relu', values));

const UNARY: Readonly<Record<UnaryName, (graph: OnnxGraph, x: Value) => Value>> = {
  sigmoid: (graph, x) => graph.node('Sigmoid', [x]),
  tanh: (graph, x) => graph.node('Tanh', [x]),
  softplus: (graph, x) => graph.node('Softplus', [x]),
  exp: (graph, x) => graph.node('Exp', [x]),
  log: (graph, x) => graph.node('Log', [x]),
  sqrt: (graph, x) => graph.node('Sqrt', [x]),
  abs: (graph, x) => graph.node('Abs', [x]),
  hardSigmoid: (graph, x) => graph.node('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
  hardSwish: (graph, x) => graph.node('HardSwish', [x]),
  gelu: (graph, x) => {
    const below = graph.node('Erf', [graph.multiply(x, graph.float(Math.SQRT1_2))]);
    return graph.multiply(graph.multiply(x, graph.float(0.5)), graph.add(below, graph.float(1)));
  },
  silu: (graph, x) => graph.multiply(x, graph.node('Sigmoid', [x])),
  reciprocal: (graph, x) => graph.node('Reciprocal', [x]),
};
for (const [name, own] of Object.entries(UNARY_OPERATIONS) as [UnaryName, Operation<unknown>][])
  convert(own, ({ graph, values }) => UNARY[name](graph, values[0]!));

convert(addReluOperation, ({ graph, values }) => graph.node('Relu', [graph.add(values[0]!, values[1]!)]));
convert(addOperation, ({ graph, values }) => values.reduce(graph.add));
convert(addBroadcastOperation, ({ graph, values }) => values.reduce(graph.add));
convert(subtractOperation, ({ graph, values }) => graph.subtract(values[0]!, values[1]!));
convert(multiplyOperation, ({ graph, values }) => graph.multiply(values[0]!, values[1]!));
convert(divideOperation, ({ graph, values }) => graph.divide(values[0]!, values[1]!));
convert(maximumOperation, ({ graph, values }) => graph.node('Max', values));
convert(minimumOperation, ({ graph, values }) => graph.node('Min', values));
convert(powOperation, ({ graph, values }) => graph.node('Pow', values));
convert(clipOperation, ({ graph, values, saved: { bounds } }) =>
  graph.node('Clip', [values[0]!, graph.float(bounds.low), graph.float(bounds.high)]),
);
convert(softmaxOperation, ({ graph, values, saved: { axis } }) => graph.node('Softmax', values, { axis }));
convert(logSoftmaxOperation, ({ graph, values, saved: { axis } }) => graph.node('LogSoftmax', values, { axis }));
convert(scaleOperation, ({ graph, values, saved }) => graph.multiply(values[0]!, graph.float(saved.factor)));

convert(castOperation, ({ values }) => values[0]!); // it is rounded as every result in half precision

convert(whereOperation, ({ graph, values, saved: { condition }, valueOf }) =>
  graph.node('Where', [graph.cast(valueOf(condition), 'bool'), ...values]),
);

const COMPARISONS = {
  equal: 'Equal',
  notEqual: 'Equal',
  less: 'Less',
  lessEqual: 'LessOrEqual',
  greater: 'Greater',
  greaterEqual: 'GreaterOrEqual',
};
for (const [name, own] of Object.entries(COMPARISON_OPERATIONS) as [keyof typeof COMPARISONS, Operation<null>][])
  convert(own, ({ graph, values }) => {
    const is = graph.node(COMPARISONS[name], values);
    return graph.cast(name === 'notEqual' ? graph.node('Not', [is]) : is, 'float');
  });

/** Scores [.., L, S] of the keys that come after a query become minus infinity. */
convert(causalOperation, ({ graph, values, output }) => {
  const [rows, columns] = [-2, -1].map((axis) =>
    graph.node('Range', [graph.int(0), graph.extent(values[0]!, output.shape.length + axis), graph.int(1)]),
  );
  const seen = graph.node('LessOrEqual', [columns!, graph.node('Unsqueeze', [rows!, graph.ints([1])])]);
  return graph.node('Where', [seen, values[0]!, graph.float(-Infinity)]);
});

convert(sumOperation, ({ graph, values, output, saved: { axes, shape } }) =>
  axes.length === 0
    ? values[0]!
    : graph.node('ReduceSum', [values[0]!, graph.ints(axes)], { keepdims: keeps(output, shape) }),
);

convert(meanOperation, ({ graph, values, output, saved: { axes, shape } }) =>
  axes.length === 0 ? values[0]! : graph.node('ReduceMean', [values[0]!], { axes, keepdims: keeps(output, shape) }),
);
