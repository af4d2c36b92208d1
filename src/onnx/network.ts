/** Computations of the engine in an ONNX graph: what `trace` finds, node by node, with the values of the parameters. */
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type TracedOperation, trace } from '../engine/trace.ts';
import type { OnnxGraph, Value } from './graph.ts';
import { convertOperation } from './operations.ts';

/** Shapes while a network is traced; the model takes others. */
export const TRACED_SIDE = 224;
export const TRACED_ROIS = 8;

/** The image of a trace, and the value that takes its place. */
export const tracedImage = (value: Value) => ({ pixels: { shape: [1, 3, TRACED_SIDE, TRACED_SIDE], value } });

type ValuesOf<T> = T extends unknown ? Record<keyof T, Value> : never;

export class NetworkGraph {
  private readonly graph: OnnxGraph;
  private readonly gpu: Gpu;
  private readonly values = new Map<Tensor, Value>();
  /** What was traced, by its result. An operation may need the size of a map that comes later in their order. */
  private readonly pending = new Map<Tensor, TracedOperation>();
  private readonly parameters: Tensor[] = [];
  private readonly named: ReadonlySet<Tensor>;

  /** `parameters`: the tensors whose values belong into the file. */
  constructor(graph: OnnxGraph, gpu: Gpu, parameters: Iterable<Tensor>) {
    this.graph = graph;
    this.gpu = gpu;
    this.named = new Set(parameters);
  }

  /**
   * Adds what `compute` computes from its inputs; `inputs` gives the shape of each in this trace, and the value that takes its
   * place in the graph.
   */
  add<I extends string, T extends Readonly<Record<string, Tensor>>>(
    inputs: Readonly<Record<I, { shape: readonly number[]; value: Value }>>,
    compute: (inputs: Record<I, Tensor>) => T,
  ): ValuesOf<T> {
    const { results, operations } = trace(this.gpu, () => {
      const given = {} as Record<I, Tensor>;
      for (const [name, { shape, value }] of Object.entries(inputs) as [I, { shape: number[]; value: Value }][]) {
        given[name] = this.gpu.empty(shape, 'f32', name);
        this.values.set(given[name], value);
      }
      return compute(given);
    });
    for (const operation of operations) this.pending.set(operation.output, operation);
    for (const { output } of operations) this.valueOf(output);
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [name, this.valueOf(tensor)]),
    ) as ValuesOf<T>;
  }

  /** Reads the values of all parameters that were used, and puts them into the graph. */
  async addParameters(): Promise<void> {
    for (const tensor of this.parameters) {
      this.graph.tensor(tensor.name, Float32Array.from(await tensor.read()), tensor.shape);
    }
  }

  private valueOf(tensor: Tensor): Value {
    const known = this.values.get(tensor);
    if (known !== undefined) return known;
    const operation = this.pending.get(tensor);
    if (operation) {
      const value = convertOperation(this.graph, operation, (other) => this.valueOf(other));
      this.values.set(tensor, value);
      return value;
    }
    if (!this.named.has(tensor)) throw new Error(`${tensor.name} is neither an input nor a parameter`);
    this.parameters.push(tensor);
    this.values.set(tensor, tensor.name);
    return tensor.name;
  }
}
