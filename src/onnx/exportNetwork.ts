/** A network of one's own as an ONNX model. */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { type Shape, Tensor } from '../engine/tensor.ts';
import { OnnxGraph } from './graph.ts';
import { NetworkGraph, type TracedTensor } from './network.ts';
import { type OnnxExportOptions, type OnnxValue, serializeOnnx, standardOperators } from './proto.ts';

export interface OnnxNetworkInput {
  /** The shape that it is traced with. Give a free axis 2 or more: an extent of 1 is computed in another way where it is repeated. */
  shape: Shape;
  /** i32 is int32 in the model; default f32, which is float. */
  dtype?: 'f32' | 'i32';
  /** Axes that may have any extent in the model, by their names: `{ 0: 'batch' }`. Axes of one name have one extent. */
  free?: Readonly<Record<number, string>>;
}

export interface OnnxNetworkOptions<I extends string> extends OnnxExportOptions {
  inputs: Readonly<Record<I, OnnxNetworkInput>>;
  /** Of the graph; default `network`. */
  name?: string;
}

/**
 * The bytes of an ONNX file (opset 17, no operators of its own) that computes what `network`, which must not be async, computes from its
 * inputs. Modules give their inference form after `train(false)`. Tensors that it uses besides its inputs are in the file by their names,
 * with the values that they have now. `network` is called without computing anything, twice more for each free axis. Throws a
 * UserError for an operation that has no form in ONNX, and for a free axis whose extent becomes a constant.
 */
export async function exportOnnxNetwork<I extends string>(
  gpu: Gpu,
  network: (inputs: Record<I, Tensor>) => Readonly<Record<string, Tensor>>,
  { inputs, name = 'network', version }: OnnxNetworkOptions<I>,
): Promise<Uint8Array<ArrayBuffer>> {
  const given = Object.entries<OnnxNetworkInput>(inputs).map(([name, input]): [string, TracedTensor] => {
    const { dtype = 'f32' } = input;
    if (!['f32', 'i32'].includes(dtype)) throw new UserError(`input ${name}: dtype is ${dtype}, expected f32 or i32`);
    return [name, { ...input, value: name }];
  });
  const graph = new OnnxGraph();
  graph.reserve(Object.keys(inputs));
  const traced = new NetworkGraph(graph, gpu);
  const results = traced.add(Object.fromEntries(given) as Record<I, TracedTensor>, (tensors) => {
    const results = network(tensors);
    for (const [name, result] of Object.entries(results)) {
      if (!(result instanceof Tensor)) throw new UserError(`output ${name} is no tensor; return { name: tensor }`);
      if (name in inputs) throw new UserError(`output ${name} has the name of an input: name it otherwise`);
    }
    graph.reserve(Object.keys(results));
    return results;
  });
  for (const [name, { value }] of Object.entries(results)) graph.rename(value, name);
  await traced.addParameters();
  return serializeOnnx({
    ...standardOperators(version),
    metadata: {},
    name,
    nodes: graph.nodes,
    tensors: graph.tensors,
    inputs: given.map(described),
    outputs: Object.entries(results).map(described),
  });
}

const described = ([name, { shape, dtype, free = {} }]: [string, TracedTensor]): OnnxValue => ({
  name,
  type: dtype === 'i32' ? 'int32' : 'float',
  dims: shape.map((extent, axis) => free[axis] ?? extent),
});
