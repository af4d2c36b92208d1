/**
 * The weights in an ONNX file, in memory: the initializers of its graph by name, and the layers that use them in the order of
 * the graph (onnx.proto, github.com/onnx/onnx; the numbers of the fields are the format's own). Nothing of the graph is run.
 *
 * Sizes are checked before anything is allocated: a tensor has the bytes that its extents say, or the file is refused.
 */
import { PbfReader } from 'pbf';
import { UserError } from './errors.ts';
import { bytesOf, type StoredTensor, type WeightLayer, widen } from './safetensors.ts';

/** A tensor of a file whose values have not been read yet. */
export interface OnnxEntry {
  shape: number[];
  /** As safetensors calls it; quantised and other types have the format's number. */
  dtype: string;
  read(): StoredTensor['data'];
}

export interface OnnxWeights {
  entries: Record<string, OnnxEntry>;
  layers: WeightLayer[];
}

/** TensorProto.DataType, as safetensors calls the types. */
const TYPES: Readonly<Record<number, string>> = { 1: 'F32', 6: 'I32', 7: 'I64', 10: 'F16', 11: 'F64', 16: 'BF16' };

interface TensorMessage {
  name: string;
  dims: number[];
  type: number;
  raw: Uint8Array | null;
  floats: number[];
  /** Halves, as their bits, and 32-bit integers. */
  ints: number[];
  longs: number[];
  doubles: number[];
  external: boolean;
}

interface NodeMessage {
  type: string;
  inputs: string[];
  outputs: string[];
  /** Gemm: whether its weight is [outputs, inputs]. */
  transposed: boolean;
}

interface GraphMessage {
  nodes: NodeMessage[];
  tensors: TensorMessage[];
}

/**
 * Whether bytes begin as an ONNX model's do: field 1, the version of the format, then the name of the producer, the operators or
 * the graph. The length at the beginning of a safetensors file is followed by a brace instead.
 */
export const isOnnx = (bytes: Uint8Array): boolean =>
  bytes.length > 3 &&
  bytes[0] === 0x08 &&
  bytes[1]! < 32 &&
  [0x12, 0x1a, 0x3a, 0x42].includes(bytes[2]!) &&
  bytes[8] !== 0x7b;

/** Throws a UserError, one line that starts with `source`, where the bytes are not a whole ONNX model with its weights in it. */
export function onnxWeights(bytes: Uint8Array, source: string): OnnxWeights {
  const fail = (why: string): never => {
    throw new UserError(`${source}: ${why}`);
  };
  const graph: GraphMessage = { nodes: [], tensors: [] };
  try {
    const pbf = new Bounded(bytes);
    pbf.readFields((tag, _, at) => {
      if (tag === 7) at.readMessage(readGraph, graph);
    }, null);
  } catch (error) {
    fail(`${(error as Error).message}; it is cut off, damaged or not an ONNX file: fetch or export it again`);
  }
  const named = graph.tensors.filter(({ name }) => name !== '');
  if (named.length === 0) fail('holds no weights; export the model with its parameters in the file');
  const outside = named.find(({ external }) => external);
  if (outside) {
    fail(`tensor ${outside.name} lies in another file; save the model with its weights inside (onnx.save_model)`);
  }
  const entries = new Map(named.map((tensor) => [tensor.name, entryOf(tensor, fail)]));
  // PyTorch writes equal tensors, such as biases that are zero, once, and gives the others their names by an Identity.
  for (const { type, inputs, outputs } of graph.nodes) {
    const entry = type === 'Identity' ? entries.get(inputs[0]!) : undefined;
    if (entry) entries.set(outputs[0]!, entry);
  }
  return { entries: Object.fromEntries(entries), layers: layersOf(graph, entries) };
}

export function parseOnnx(
  bytes: Uint8Array,
  source: string,
): { tensors: Record<string, StoredTensor>; layers: WeightLayer[] } {
  const { entries, layers } = onnxWeights(bytes, source);
  // What a graph computes with besides weights, such as masks and quantised values, is nothing to start from.
  const readable = Object.entries(entries).filter(([, { dtype }]) => bytesOf(dtype) !== undefined);
  const tensors = Object.fromEntries(
    readable.map(([name, entry]): [string, StoredTensor] => [name, { shape: entry.shape, data: entry.read() }]),
  );
  const isRead = (name: string): boolean => Object.hasOwn(tensors, name);
  return { tensors, layers: layers.filter(({ weight, bias }) => isRead(weight) && (!bias || isRead(bias))) };
}

/** A field that ends beyond its message, or beyond the file, which pbf answers with whatever comes next, is an error. */
class Bounded extends PbfReader {
  override readFields<T>(readField: (tag: number, result: T, pbf: PbfReader) => void, result: T, end = this.length): T {
    if (end <= this.length) super.readFields(readField, result, end);
    if (end > this.length || this.pos !== end) throw new Error('ends in the middle of a field');
    return result;
  }
}

function readGraph(tag: number, graph: GraphMessage, pbf: PbfReader): void {
  if (tag === 1) {
    graph.nodes.push(pbf.readMessage(readNode, { type: '', inputs: [], outputs: [], transposed: false }));
  } else if (tag === 5) {
    const empty = {
      name: '',
      dims: [],
      type: 0,
      raw: null,
      floats: [],
      ints: [],
      longs: [],
      doubles: [],
      external: false,
    };
    graph.tensors.push(pbf.readMessage<TensorMessage>(readTensor, empty));
  }
}

function readNode(tag: number, node: NodeMessage, pbf: PbfReader): void {
  if (tag === 1) node.inputs.push(pbf.readString());
  else if (tag === 2) node.outputs.push(pbf.readString());
  else if (tag === 4) node.type = pbf.readString();
  else if (tag === 5) {
    const attribute = pbf.readMessage(
      (tag, read: { name: string; value: number }, at) => {
        if (tag === 1) read.name = at.readString();
        else if (tag === 3) read.value = at.readVarint(true);
      },
      { name: '', value: 0 },
    );
    if (attribute.name === 'transB') node.transposed = attribute.value !== 0;
  }
}

function readTensor(tag: number, tensor: TensorMessage, pbf: PbfReader): void {
  if (tag === 1) pbf.readPackedVarint(tensor.dims, true);
  else if (tag === 2) tensor.type = pbf.readVarint();
  else if (tag === 4) pbf.readPackedFloat(tensor.floats);
  else if (tag === 5) pbf.readPackedVarint(tensor.ints, true);
  else if (tag === 7) pbf.readPackedVarint(tensor.longs, true);
  else if (tag === 8) tensor.name = pbf.readString();
  else if (tag === 9) tensor.raw = pbf.readBytes();
  else if (tag === 10) pbf.readPackedDouble(tensor.doubles);
  else if (tag === 14) tensor.external = pbf.readVarint() === 1;
}

function entryOf(tensor: TensorMessage, fail: (why: string) => never): OnnxEntry {
  const { name, dims, type, raw, floats, ints, longs, doubles } = tensor;
  const dtype = TYPES[type] ?? `of ONNX's type ${type}`;
  const size = bytesOf(dtype);
  const count = dims.reduce((product, n) => product * n, 1);
  if (size !== undefined) {
    const listed = { F32: floats, F64: doubles, I64: longs, I32: ints, F16: ints, BF16: ints }[dtype]!;
    const held = raw ? raw.length / size : listed.length;
    if (dims.some((n) => n < 0) || held !== count) {
      fail(`tensor ${name} [${dims}] has ${held} values; the file is cut off or damaged: fetch or export it again`);
    }
  }
  return {
    shape: dims,
    dtype,
    read: () => {
      if (raw) return widen(dtype, raw);
      if (dtype === 'F32') return Float32Array.from(floats);
      if (dtype === 'F64') return Float32Array.from(doubles);
      if (dtype === 'I64' || dtype === 'I32') return Int32Array.from(dtype === 'I64' ? longs : ints);
      return widen(dtype, new Uint8Array(Uint16Array.from(ints).buffer));
    },
  };
}

/** The layers with weights, in the order of the graph, which ONNX requires to be one in which they can be computed. */
function layersOf({ nodes }: GraphMessage, weights: ReadonlyMap<string, OnnxEntry>): WeightLayer[] {
  const layers: WeightLayer[] = [];
  for (const { type, inputs, transposed } of nodes) {
    const [, weight, bias] = inputs;
    if (!['Conv', 'Gemm', 'MatMul'].includes(type) || weight === undefined || !weights.has(weight)) continue;
    const rows = type !== 'Conv' && !transposed;
    layers.push({ weight, ...(bias !== undefined && weights.has(bias) && { bias }), inputsFirst: rows });
  }
  return layers;
}
