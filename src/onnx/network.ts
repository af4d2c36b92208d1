/** Computations of the engine in an ONNX graph: what `trace` finds, node by node, with the values of the parameters. */
import { UserError } from '../engine/errors.ts';
import type { Dtype } from '../engine/dtype.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { Shape, Tensor } from '../engine/tensor.ts';
import { trace, type TracedOperation, type Tracing } from '../engine/trace.ts';
import type { OnnxGraph, Value } from './graph.ts';
import type { FreeAxis } from './forms/converting.ts';
import { convertOperation } from './operations.ts';

/** A tensor in a trace, and the value that takes its place in the graph. */
export interface TracedTensor {
  value: Value;
  shape: Shape;
  /** Default f32. */
  dtype?: Dtype;
  /** Names of the axes that may have another extent than in the trace; axes of one name have the same. */
  free?: Readonly<Record<number, string>>;
}

type TracedTensors<T> = T extends unknown ? Record<keyof T, TracedTensor> : never;
type Inputs<I extends string> = Readonly<Record<I, TracedTensor>>;
type Tensors = Readonly<Record<string, Tensor>>;

/** One trace of several, which differ in the extent of one free axis. */
interface Variant<T> extends Tracing {
  results: T;
  given: Tensors;
  /** The axis, its extent here and the one that was asked for; null for the shapes that were asked for. */
  other: { axis: string; extent: number; asked: number } | null;
}

/** An operation in every trace, that of the shapes that were asked for first. */
interface Step {
  variants: readonly TracedOperation[];
  others: readonly Variant<unknown>['other'][];
  freeAxes: readonly FreeAxis[];
}

export class NetworkGraph {
  private readonly graph: OnnxGraph;
  private readonly gpu: Gpu;
  private readonly values = new Map<Tensor, Value>();
  /** What was traced, by its result. */
  private readonly steps = new Map<Tensor, Step>();
  private readonly unclaimed = new Map<Tensor, string>();
  private readonly parameters: { tensor: Tensor; name: Value }[] = [];

  constructor(graph: OnnxGraph, gpu: Gpu) {
    this.graph = graph;
    this.gpu = gpu;
  }

  /**
   * Adds what `compute` computes from its inputs. It is traced once with the given shapes and again with other extents for each free
   * axis: an operation belongs into the graph if it has the same form every time.
   */
  add<I extends string, T extends Tensors>(
    inputs: Inputs<I>,
    compute: (inputs: Record<I, Tensor>) => T,
  ): TracedTensors<T> {
    const free = freeExtents(inputs);
    const variants = this.traces(inputs, free, compute);
    const [own] = variants as [Variant<T>];
    const freeAxes = Object.entries<TracedTensor>(inputs).flatMap(([name, { value, free = {} }]) =>
      Object.entries(free).map(([axis, symbol]) => ({
        symbol,
        value,
        axis: Number(axis),
        extents: variants.map(({ given }) => given[name]!.shape[Number(axis)]!),
      })),
    );
    for (const { unclaimed } of variants) for (const [tensor, kernel] of unclaimed) this.unclaimed.set(tensor, kernel);
    const others = variants.map(({ other }) => other);
    own.operations.forEach((_, i) => {
      const step: Step = { variants: variants.map(({ operations }) => operations[i]!), others, freeAxes };
      for (const { output } of step.variants) this.steps.set(output, step);
    });
    for (const output of neededBy(Object.values(own.results), own.operations)) this.valueOf(output);
    return Object.fromEntries(
      Object.entries(own.results).map(([name, tensor]) => {
        const values = variants.map(({ results }) => this.valueOf(results[name]!));
        expectSame(values, others, `${name} is another tensor`);
        const { shape, dtype } = tensor;
        const freeNames = shape.flatMap((extent, axis) => {
          const extents = variants.map(({ results }) => results[name]!.shape[axis]!);
          if (extents.every((other) => other === extent)) return [];
          return [[axis, freeAxes.find((other) => isSame(other.extents, extents))?.symbol ?? `${name}_${axis}`]];
        });
        return [
          name,
          { value: values[0]!, shape, dtype, free: Object.fromEntries(freeNames) as Record<number, string> },
        ];
      }),
    ) as TracedTensors<T>;
  }

  /** Reads the values of all parameters that were used, and puts them into the graph. */
  async addParameters(): Promise<void> {
    for (const { tensor, name } of this.parameters) this.graph.tensor(name, await tensor.read(), tensor.shape);
  }

  private traces<I extends string, T extends Tensors>(
    inputs: Inputs<I>,
    free: ReadonlyMap<string, number>,
    compute: (inputs: Record<I, Tensor>) => T,
  ): Variant<T>[] {
    const traced = (other: Variant<T>['other']): Variant<T> => {
      const given = {} as Record<I, Tensor>;
      const tracing = trace(this.gpu, () => {
        for (const [name, { shape, dtype = 'f32', free = {} }] of Object.entries(inputs) as [I, TracedTensor][]) {
          const extents = shape.map((extent, axis) => (other && free[axis] === other.axis ? other.extent : extent));
          given[name] = this.gpu.empty(extents, dtype, name);
        }
        return compute(given);
      });
      for (const name of Object.keys(given) as I[]) this.values.set(given[name], inputs[name].value);
      return { ...tracing, given, other };
    };
    const own = traced(null);
    const variants = [own];
    for (const [axis, extent] of free) {
      // Twice the extent suits networks that halve their maps; one more, which shows where a half is rounded, need not suit them.
      const twice = { axis, extent: 2 * extent, asked: extent };
      try {
        variants.push(traced(twice));
      } catch (error) {
        throw new UserError(`${freeAxis(twice)}, the network fails: ${(error as Error).message}`, { cause: error });
      }
      try {
        variants.push(traced({ ...twice, extent: 2 * extent + 1 }));
      } catch {
        // It does not take this extent, so none is wrong there.
      }
    }
    for (const { operations, other } of variants) {
      const at = own.operations.findIndex(({ operation }, i) => operations[i]?.operation !== operation);
      if (at >= 0 || operations.length !== own.operations.length) {
        const [before, now] = [own, { operations }].map(
          ({ operations }) => operations[at < 0 ? own.operations.length : at]?.operation.name ?? 'none',
        );
        throw new UserError(`${freeAxis(other!)}, the network runs the operation ${now} where it ran ${before}`);
      }
    }
    return variants;
  }

  private valueOf(tensor: Tensor): Value {
    const known = this.values.get(tensor);
    if (known !== undefined) return known;
    const kernel = this.unclaimed.get(tensor);
    if (kernel !== undefined) {
      throw new UserError(`the kernel ${kernel} belongs to no operation, so this network cannot be exported`);
    }
    const step = this.steps.get(tensor);
    if (!step) return this.parameter(tensor);
    const { variants, others, freeAxes } = step;
    const values = variants.map((_, own) =>
      convertOperation(this.graph, variants, own, freeAxes, (other) => this.valueOf(other)),
    );
    const { operation, output } = variants[0]!;
    expectSame(values, others, `the operation ${operation.name} (${output.name}, [${output.shape}]) has another form`);
    for (const { output } of variants) this.values.set(output, values[0]!);
    return values[0]!;
  }

  private parameter(tensor: Tensor): Value {
    const { name, shape } = tensor;
    if (tensor.freed || !tensor.storage.made) {
      throw new UserError(`tensor ${name} [${shape}] is made inside the network, but no operation gives it values`);
    }
    const own = this.graph.unique(name);
    this.parameters.push({ tensor, name: own });
    this.values.set(tensor, own);
    return own;
  }
}

/** The extents of free axes by their names. */
function freeExtents(inputs: Readonly<Record<string, TracedTensor>>): Map<string, number> {
  const extents = new Map<string, number>();
  for (const [name, { shape, free = {} }] of Object.entries(inputs)) {
    for (const [axis, symbol] of Object.entries(free)) {
      const extent = shape[Number(axis)];
      if (extent === undefined)
        throw new UserError(`input ${name}: there is no axis ${axis} (${symbol}) in the shape [${shape}]`);
      const before = extents.get(symbol);
      if (extent < 1 || (before ?? extent) !== extent) {
        const expected = before === undefined ? 'at least 1' : `${before}, as before`;
        throw new UserError(`input ${name}: the axis ${symbol} has extent ${extent}, expected ${expected}`);
      }
      extents.set(symbol, extent);
    }
  }
  return extents;
}

/** The results of those operations that these tensors need, in the order of the operations. */
function neededBy(tensors: readonly Tensor[], operations: readonly TracedOperation[]): Tensor[] {
  const needed = new Set(tensors);
  const made = new Set<Tensor>();
  for (const { output, inputs } of [...operations].reverse()) {
    if (!needed.has(output) || made.has(output)) continue;
    made.add(output);
    inputs.forEach((input) => needed.add(input));
  }
  return [...made].reverse();
}

const isSame = <T>(a: readonly T[], b: readonly T[]): boolean => a.every((value, i) => value === b[i]);

const freeAxis = ({ axis, extent, asked }: { axis: string; extent: number; asked: number }): string =>
  `axis ${axis} cannot be free: with ${extent} in place of ${asked}`;

function expectSame(values: readonly Value[], others: readonly Variant<unknown>['other'][], problem: string): void {
  const at = values.findIndex((value) => value !== values[0]);
  if (at >= 0) throw new UserError(`${freeAxis(others[at]!)}, ${problem}`);
}
