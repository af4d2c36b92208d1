/**
 * ONNX models as plain data, and as the protocol buffers that a file holds (onnx.proto, github.com/onnx/onnx); the numbers of the
 * fields are the format's own. Only what this project writes: tensors are dense and hold their values in the file.
 */
import { PbfWriter } from 'pbf';

export type ElementType = 'float' | 'uint8' | 'int32' | 'int64' | 'bool' | 'float16' | 'double';

/** TensorProto.DataType. */
export const ELEMENT_TYPES: Readonly<Record<ElementType, number>> = {
  float: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  double: 11,
};

export interface OnnxTensor {
  name: string;
  type: ElementType;
  dims: readonly number[];
  /** Little-endian. */
  data: Uint8Array;
}

export type Attribute = number | string | readonly number[] | { float: number };

export interface OnnxNode {
  type: string;
  /** Names of values; '' leaves an optional input out. */
  inputs: readonly string[];
  outputs: readonly string[];
  /** Numbers are integers unless they are written `{ float }`. */
  attributes: Readonly<Record<string, Attribute>>;
}

/** An input or output. An extent that is a name can be any number. */
export interface OnnxValue {
  name: string;
  type: ElementType;
  dims: readonly (number | string)[];
}

export interface OnnxModel {
  /** Version of the standard operators. */
  opset: number;
  producer: { name: string; version: string };
  metadata: Readonly<Record<string, string>>;
  name: string;
  nodes: readonly OnnxNode[];
  tensors: readonly OnnxTensor[];
  inputs: readonly OnnxValue[];
  outputs: readonly OnnxValue[];
}

const OPSET = 17;
/** The version of the file format: the one that belongs to these operators. */
const IR_VERSION = 8;

export interface OnnxExportOptions {
  /** Of the program that writes the model. */
  version?: string;
}

/** What all models say of themselves. */
export const standardOperators = (version = ''): Pick<OnnxModel, 'opset' | 'producer'> => ({
  opset: OPSET,
  producer: { name: 'webgpu-rcnn', version },
});

export function serializeOnnx(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const bytes = model.tensors.reduce((sum, { data }) => sum + data.length + 256, 1 << 16);
  const pbf = new PbfWriter(new Uint8Array(bytes));
  pbf.writeVarintField(1, IR_VERSION);
  pbf.writeStringField(2, model.producer.name);
  pbf.writeStringField(3, model.producer.version);
  pbf.writeMessage(7, writeGraph, model);
  pbf.writeMessage(8, writeOpset, model.opset);
  for (const entry of Object.entries(model.metadata)) pbf.writeMessage(14, writeMetadata, entry);
  return pbf.finish() as Uint8Array<ArrayBuffer>; // grown from the array above
}

function writeGraph({ name, nodes, tensors, inputs, outputs }: OnnxModel, pbf: PbfWriter): void {
  for (const node of nodes) pbf.writeMessage(1, writeNode, node);
  pbf.writeStringField(2, name);
  for (const tensor of tensors) pbf.writeMessage(5, writeTensor, tensor);
  for (const value of inputs) pbf.writeMessage(11, writeValue, value);
  for (const value of outputs) pbf.writeMessage(12, writeValue, value);
}

function writeNode({ type, inputs, outputs, attributes }: OnnxNode, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  for (const output of outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(3, outputs[0]!);
  pbf.writeStringField(4, type);
  for (const entry of Object.entries(attributes)) pbf.writeMessage(5, writeAttribute, entry);
}

/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, ints: 7 } as const;

function writeAttribute([name, value]: [string, Attribute], pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  let type: keyof typeof ATTRIBUTE_TYPES;
  if (typeof value === 'number') {
    type = 'int';
    pbf.writeVarintField(3, value);
  } else if (typeof value === 'string') {
    type = 'string';
    pbf.writeStringField(4, value);
  } else if ('float' in value) {
    type = 'float';
    pbf.writeFloatField(2, value.float);
  } else {
    type = 'ints';
    for (const number of value) pbf.writeVarintField(8, number);
  }
  pbf.writeVarintField(20, ATTRIBUTE_TYPES[type]);
}

function writeTensor({ name, type, dims, data }: OnnxTensor, pbf: PbfWriter): void {
  for (const extent of dims) pbf.writeVarintField(1, extent);
  pbf.writeVarintField(2, ELEMENT_TYPES[type]);
  pbf.writeStringField(8, name);
  pbf.writeBytesField(9, data);
}

function writeValue({ name, type, dims }: OnnxValue, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  pbf.writeMessage(2, (value, type) => type.writeMessage(1, writeTensorType, value), { type, dims });
}

function writeTensorType({ type, dims }: Omit<OnnxValue, 'name'>, pbf: PbfWriter): void {
  pbf.writeVarintField(1, ELEMENT_TYPES[type]);
  const writeExtent = (extent: number | string, dim: PbfWriter): void => {
    if (typeof extent === 'number') dim.writeVarintField(1, extent);
    else dim.writeStringField(2, extent);
  };
  pbf.writeMessage(2, (all, shape) => all.forEach((extent) => shape.writeMessage(1, writeExtent, extent)), dims);
}

function writeOpset(version: number, pbf: PbfWriter): void {
  pbf.writeStringField(1, ''); // the standard operators
  pbf.writeVarintField(2, version);
}

function writeMetadata([key, value]: [string, string], pbf: PbfWriter): void {
  pbf.writeStringField(1, key);
  pbf.writeStringField(2, value);
}
