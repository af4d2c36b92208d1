/** Whether an exported network gives in ONNX Runtime what it gives in the engine. */
import * as ort from 'onnxruntime-web';
import * as assert from 'uvu/assert';
import { exportOnnxNetwork, type Gpu, type Shape, type Tensor } from '../../src/index.ts';
import { sharedGpu } from '../harness.ts';

export type Inputs = Readonly<Record<string, Tensor>>;
export interface Comparison {
  /** Numbers that agree differ by less than this share of 1 + their size. Default 2e-6. */
  tolerance?: number;
  /** In place of that 1 the largest number of the tensor: a sum that cancels is as exact as its terms are. */
  ofLargest?: boolean;
  /** Default: the device that tests share. */
  gpu?: Gpu;
}

type Network = (inputs: Record<string, Tensor>) => Readonly<Record<string, Tensor>>;

export interface Given {
  shape: Shape;
  values: Float32Array | Int32Array;
}

ort.env.wasm.numThreads = 1;

/**
 * Feeds both the same values.
 * @param traced shapes to export with: an axis that has another extent there is free, and one with those that have the same two.
 *   Default: those of the values
 * @returns the model
 */
export async function expectSameValues(
  what: string,
  network: Network,
  given: Readonly<Record<string, Given>>,
  traced: Readonly<Record<string, Shape>> = {},
  { tolerance = 2e-6, ofLargest = false, gpu: own }: Comparison = {},
): Promise<Uint8Array> {
  const gpu = own ?? (await sharedGpu());
  const inputs = Object.entries(given).map(([name, { shape, values }]) => {
    const extents = traced[name] ?? shape;
    const free = extents.flatMap((extent, axis) =>
      extent === shape[axis] ? [] : [[axis, `${extent}_to_${shape[axis]}`]],
    );
    const dtype = values instanceof Int32Array ? ('i32' as const) : ('f32' as const);
    return [name, { shape: extents, dtype, free: Object.fromEntries(free) as Record<number, string> }];
  });
  const model = await exportOnnxNetwork(gpu, network, {
    inputs: Object.fromEntries(inputs) as Record<string, { shape: Shape }>,
  });
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  const feeds = Object.entries(given).map(([name, { shape, values }]) => [
    name,
    new ort.Tensor(values instanceof Int32Array ? 'int32' : 'float32', values, shape),
  ]);
  const theirs = await session.run(Object.fromEntries(feeds) as Record<string, ort.Tensor>);
  await session.release();
  await gpu.scope(async () => {
    const tensors = Object.entries(given).map(([name, { shape, values }]) => [name, gpu.tensor(values, shape)]);
    const ours = network(Object.fromEntries(tensors) as Record<string, Tensor>);
    assert.equal(Object.keys(theirs), Object.keys(ours), `${what}: the outputs`);
    for (const [name, tensor] of Object.entries(ours)) {
      const { dims, data, type } = theirs[name]!;
      assert.equal([...dims], [...tensor.shape], `${what}: the shape of ${name}`);
      assert.is(type, tensor.dtype === 'i32' ? 'int32' : 'float32', `${what}: the type of ${name}`);
      const [expected, actual] = [await tensor.read(), data as Float32Array | Int32Array];
      const largest = ofLargest
        ? Float64Array.from(expected, Math.abs).reduce((most, size) => Math.max(most, size), 0)
        : 1;
      expected.forEach((value, i) => {
        const off = Math.abs(value - actual[i]!) / (largest + Math.abs(value));
        assert.ok(
          Object.is(value, actual[i]) || value === actual[i] || off < tolerance,
          `${what}: ${name}[${i}] is ${actual[i]}, here ${value}`,
        );
      });
    }
  });
  return model;
}
