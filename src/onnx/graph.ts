/** Builds the graph of an ONNX model, node by node. A value is known by its name. */
import type { Attribute, ElementType, OnnxNode, OnnxTensor } from './proto.ts';

/** The name of a value. */
export type Value = string;

type Attributes = Readonly<Record<string, Attribute>>;

export class OnnxGraph {
  readonly nodes: OnnxNode[] = [];
  readonly tensors: OnnxTensor[] = [];
  /** Constants by what they are, so that each is in the file once. */
  private readonly constants = new Map<string, Value>();
  private readonly counts = new Map<string, number>();

  /** The result of a node. */
  node(type: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    return this.append(type, inputs, 1, attributes)[0]!;
  }

  /** The results of a node that has several. */
  split(x: Value, axis: number, sizes: readonly number[]): Value[] {
    return this.append('Split', [x, this.ints(sizes)], sizes.length, { axis });
  }

  /** A number of float32, rank 0. */
  float(value: number): Value {
    return this.constant('float', [value], []);
  }

  floats(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    return this.constant('float', values, dims);
  }

  double(value: number): Value {
    return this.constant('double', [value], []);
  }

  /** An integer, rank 0. */
  int(value: number): Value {
    return this.constant('int64', [value], []);
  }

  ints(values: readonly number[]): Value {
    return this.constant('int64', values, [values.length]);
  }

  /** Values with a name of their own: weights. */
  tensor(name: string, values: Float32Array, dims: readonly number[]): Value {
    this.tensors.push({ name, type: 'float', dims, data: bytesOf(values) });
    return name;
  }

  cast(x: Value, type: 'float' | 'int64' | 'double'): Value {
    return this.node('Cast', [x], { to: { float: 1, int64: 7, double: 11 }[type] });
  }

  add = (a: Value, b: Value): Value => this.node('Add', [a, b]);
  subtract = (a: Value, b: Value): Value => this.node('Sub', [a, b]);
  multiply = (a: Value, b: Value): Value => this.node('Mul', [a, b]);
  divide = (a: Value, b: Value): Value => this.node('Div', [a, b]);

  gather(x: Value, indices: Value, axis: number): Value {
    return this.node('Gather', [x, indices], { axis });
  }

  /** Extent `axis` of x, rank 0. */
  extent(x: Value, axis: number): Value {
    return this.gather(this.node('Shape', [x]), this.int(axis), 0);
  }

  /** Numbers of rank 0 as one vector. */
  vector(numbers: readonly Value[]): Value {
    const rows = numbers.map((number) => this.node('Reshape', [number, this.ints([1])]));
    return this.node('Concat', rows, { axis: 0 });
  }

  reshape(x: Value, dims: readonly number[]): Value {
    return this.node('Reshape', [x, this.ints(dims)]);
  }

  transpose(x: Value, order: readonly number[]): Value {
    return this.node('Transpose', [x], { perm: order });
  }

  /** 0, 1, ... below `limit` (an int64 of rank 0), as float32. */
  range(limit: Value): Value {
    return this.cast(this.node('Range', [this.int(0), limit, this.int(1)]), 'float');
  }

  /** The `count` (int64, rank 0) greatest of a vector, descending, the first of equal ones first; their values and places. */
  topK(x: Value, count: Value): [values: Value, places: Value] {
    const outputs = this.append('TopK', [x, this.node('Reshape', [count, this.ints([1])])], 2, { axis: 0 });
    return [outputs[0]!, outputs[1]!];
  }

  /** Names the result of a node. */
  rename(x: Value, name: string): Value {
    this.nodes.push({ type: 'Identity', inputs: [x], outputs: [name], attributes: {} });
    return name;
  }

  private append(type: string, inputs: readonly Value[], outputs: number, attributes: Attributes): Value[] {
    const number = (this.counts.get(type) ?? 0) + 1;
    this.counts.set(type, number);
    const names = Array.from({ length: outputs }, (_, i) => `${type}_${number}${outputs > 1 ? `_${i}` : ''}`);
    this.nodes.push({ type, inputs, outputs: names, attributes });
    return names;
  }

  private constant(type: ElementType, values: readonly number[], dims: readonly number[]): Value {
    const key = `${type} ${dims.join('x')} ${values.join()}`;
    let name = this.constants.get(key);
    if (name === undefined) {
      name = `constant_${this.constants.size + 1}`;
      this.constants.set(key, name);
      this.tensors.push({ name, type, dims, data: encode(type, values) });
    }
    return name;
  }
}

function encode(type: ElementType, values: readonly number[]): Uint8Array {
  switch (type) {
    case 'float':
      return bytesOf(Float32Array.from(values));
    case 'double':
      return bytesOf(Float64Array.from(values));
    case 'int64':
      return bytesOf(BigInt64Array.from(values, BigInt));
    case 'uint8':
      return Uint8Array.from(values);
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
