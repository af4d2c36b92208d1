/** Builds the graph of an ONNX model, node by node. A value is known by its name. */
import { type Attribute, ELEMENT_TYPES, type ElementType, type OnnxNode, type OnnxTensor } from './proto.ts';

/** The name of a value. */
export type Value = string;

type Attributes = Readonly<Record<string, Attribute>>;

export class OnnxGraph {
  readonly nodes: OnnxNode[] = [];
  readonly tensors: OnnxTensor[] = [];
  /** The results of nodes by what they compute, so that nothing is computed twice. */
  private readonly results = new Map<string, Value[]>();
  /** Constants by a checksum of what they are, so that each is in the file once. */
  private readonly constants = new Map<string, OnnxTensor[]>();
  private readonly counts = new Map<string, number>();
  private readonly names = new Set<string>();

  /** Inputs and outputs, whose names no other value may have. */
  reserve(names: Iterable<string>): void {
    for (const name of names) this.names.add(name);
  }

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
    return this.constant(Float32Array.of(value), []);
  }

  floats(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    return this.constant(Float32Array.from(values), dims);
  }

  double(value: number): Value {
    return this.constant(Float64Array.of(value), []);
  }

  /** An int32, rank 0. */
  int32(value: number): Value {
    return this.constant(Int32Array.of(value), []);
  }

  /** An integer, rank 0. */
  int(value: number): Value {
    return this.constant(BigInt64Array.of(BigInt(value)), []);
  }

  ints(values: readonly number[]): Value {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** Values without a name of their own. */
  constant(values: Numbers, dims: readonly number[]): Value {
    const data = bytesOf(values);
    const key = `${typeOf(values)} ${dims.join('x')} ${checksum(data)}`;
    const alike = this.constants.get(key) ?? [];
    const known = alike.find((other) => other.data.every((byte, i) => byte === data[i]));
    if (known) return known.name;
    const name = this.tensor(this.unique(`constant_${this.count('constant')}`), values, dims);
    this.constants.set(key, [...alike, this.tensors.at(-1)!]);
    return name;
  }

  /** Values with a name of their own (`unique`): weights. */
  tensor(name: Value, values: Numbers, dims: readonly number[]): Value {
    this.tensors.push({ name, type: typeOf(values), dims, data: bytesOf(values) });
    return name;
  }

  /** A name that no value has so far: this one, or one like it. */
  unique(name: string): Value {
    let own = name;
    for (let i = 2; this.names.has(own); i++) own = `${name}_${i}`;
    this.names.add(own);
    return own;
  }

  cast(x: Value, type: ElementType): Value {
    return this.node('Cast', [x], { to: ELEMENT_TYPES[type] });
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

  /** The `count` (int64, rank 0) greatest along an axis, descending, the first of equal ones first; their values and places. */
  topK(x: Value, count: Value, axis = 0): [values: Value, places: Value] {
    return this.append('TopK', [x, this.reshape(count, [1])], 2, { axis }) as [Value, Value];
  }

  /** Names the result of a node. */
  rename(x: Value, name: string): Value {
    this.nodes.push({ type: 'Identity', inputs: [x], outputs: [name], attributes: {} });
    return name;
  }

  private append(type: string, inputs: readonly Value[], outputs: number, attributes: Attributes): Value[] {
    const key = JSON.stringify([type, inputs, outputs, attributes]);
    const known = this.results.get(key);
    if (known) return known;
    const number = this.count(type);
    const names = Array.from({ length: outputs }, (_, i) =>
      this.unique(`${type}_${number}${outputs > 1 ? `_${i}` : ''}`),
    );
    this.nodes.push({ type, inputs, outputs: names, attributes });
    this.results.set(key, names);
    return names;
  }

  private count(kind: string): number {
    const number = (this.counts.get(kind) ?? 0) + 1;
    this.counts.set(kind, number);
    return number;
  }
}

type Numbers = Float32Array | Float64Array | Int32Array | BigInt64Array;

function typeOf(values: Numbers): ElementType {
  if (values instanceof Float32Array) return 'float';
  if (values instanceof Float64Array) return 'double';
  return values instanceof Int32Array ? 'int32' : 'int64';
}

/** FNV-1a. */
const checksum = (bytes: Uint8Array): number =>
  bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), 0x811c9dc5);

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
