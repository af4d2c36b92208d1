/** ONNX models of a few nodes, written as protobuf by hand after onnx.proto3: a ModelProto and its parts. */

/** A field: its number and its value: an integer, text, bytes or a message. */
type Field = readonly [number: number, value: number | string | Uint8Array];

const INT64 = 7;
const FLOAT = 1;
const OPSET = 17;
const IR_VERSION = 8;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  return bytes;
}

export function message(...fields: readonly Field[]): Uint8Array {
  const parts = fields.flatMap(([number, value]) => {
    if (typeof value === 'number') return [Uint8Array.from([...varint(number * 8), ...varint(value)])];
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return [Uint8Array.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes];
  });
  return new Uint8Array(Buffer.concat(parts));
}

const many = (number: number, values: readonly (number | string | Uint8Array)[]): Field[] =>
  values.map((value) => [number, value]);

/** AttributeProto: a list of integers. */
const integers = (name: string, values: readonly number[]): Uint8Array =>
  message([1, name], ...many(8, values), [20, INT64]);

/** TensorProto. */
function initializer(name: string, shape: readonly number[], type: number, values: ArrayBufferView): Uint8Array {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return message(...many(1, shape), [2, type], [8, name], [9, raw]);
}

/** ValueInfoProto: a float tensor. */
function value(name: string, shape: readonly number[]): Uint8Array {
  const dimensions = message(
    ...many(
      1,
      shape.map((n) => message([1, n])),
    ),
  );
  return message([1, name], [2, message([1, message([1, FLOAT], [2, dimensions])])]);
}

const node = (op: string, inputs: string[], output: string, attributes: Uint8Array[] = []): Uint8Array =>
  message(...many(1, inputs), [2, output], [4, op], ...many(5, attributes));

interface Graph {
  nodes: Uint8Array[];
  initializers: Uint8Array[];
  inputs: Uint8Array[];
  outputs: Uint8Array[];
}

const model = ({ nodes, initializers, inputs, outputs }: Graph): Uint8Array =>
  message(
    [1, IR_VERSION],
    [7, message(...many(1, nodes), [2, 'row'], ...many(5, initializers), ...many(11, inputs), ...many(12, outputs))],
    [8, message([1, ''], [2, OPSET])],
  );

/** y = relu(conv(x, w)); only the first and the last channel are output, because copying all of them would be timed too. */
export function convolutionModel(
  x: readonly number[],
  w: { shape: readonly number[]; values: Float32Array },
  { stride, pad }: { stride: number; pad: number },
): Uint8Array {
  const K = w.shape[0]!;
  const list = (name: string, n: number) => initializer(name, [1], INT64, BigInt64Array.of(BigInt(n)));
  return model({
    nodes: [
      node('Conv', ['x', 'w'], 'conv', [integers('strides', [stride, stride]), integers('pads', [pad, pad, pad, pad])]),
      node('Relu', ['conv'], 'relu'),
      node('Slice', ['relu', 'start', 'end', 'axis', 'step'], 'y'),
    ],
    initializers: [
      initializer('w', w.shape, FLOAT, w.values),
      list('start', 0),
      list('end', K),
      list('axis', 1),
      list('step', K - 1),
    ],
    inputs: [value('x', x)],
    outputs: [message([1, 'y'], [2, message([1, message([1, FLOAT])])])],
  });
}

/** y = a b^T, both given at run time. */
export const productModel = (n: number): Uint8Array =>
  model({
    nodes: [node('Gemm', ['a', 'b'], 'y', [message([1, 'transB'], [3, 1], [20, 2])])],
    initializers: [],
    inputs: [value('a', [n, n]), value('b', [n, n])],
    outputs: [value('y', [n, n])],
  });
