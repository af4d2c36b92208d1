/**
 * onnxruntime-node with its WebGPU execution provider: forward only. It takes inputs from the CPU and returns results to it,
 * and its times include the copies; for a convolution it returns only two channels.
 */
import { convInputs } from '../../../src/bench/cases/convolution.ts';
import { outputSize } from '../../../src/bench/shapes.ts';
import { matmulInputs, type PeerRow } from '../rows.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';
import { convolutionModel, productModel } from './onnx.ts';

/** The part of its API that is used. */
interface OrtTensor {
  data: Float32Array;
}

interface Ort {
  Tensor: new (type: 'float32', values: Float32Array, shape: readonly number[]) => OrtTensor;
  InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: string[]; logSeverityLevel: number },
    ): Promise<{ run(inputs: Record<string, OrtTensor>): Promise<{ y: OrtTensor }>; release(): Promise<void> }>;
  };
}

const PACKAGE: string = 'onnxruntime-node'; // not installed with the project: the compiler must not look for it
/** Errors only: it warns about every node that it leaves to the CPU. */
const LOG_ERRORS = 3;

export async function open(): Promise<Engine> {
  const ort = (await import(PACKAGE)) as Ort;
  return { adapter: null, prepare: (row) => prepare(ort, row) };
}

async function prepare(ort: Ort, row: PeerRow): Promise<PreparedRow | null> {
  const tensor = (values: Float32Array, shape: readonly number[]) => new ort.Tensor('float32', values, shape);
  if (row.kind === 'matmul') {
    const { a, b } = matmulInputs(row.n);
    const shape = [row.n, row.n];
    return session(ort, productModel(row.n), { a: tensor(a, shape), b: tensor(b, shape) }, (index) => index);
  }
  if (row.kind === 'training' || row.pass !== 'forward') return null;
  const { C, K, H, W, side } = row.layer;
  const { OH, OW } = outputSize(row.layer);
  const { x, w } = convInputs(row.layer);
  const shape = [1, C, H, W];
  const model = convolutionModel(shape, { shape: [K, C, side, side], values: w }, row.layer);
  const last = (K - 2) * OH * OW;
  return session(ort, model, { x: tensor(x, shape) }, (index) => (index < OH * OW ? index : index - last));
}

async function session(
  ort: Ort,
  model: Uint8Array,
  inputs: Record<string, OrtTensor>,
  place: (index: number) => number,
): Promise<PreparedRow> {
  const options = { executionProviders: ['webgpu'], logSeverityLevel: LOG_ERRORS };
  const created = await ort.InferenceSession.create(model, options);
  let y: OrtTensor | undefined;
  return {
    run: async () => void ({ y } = await created.run(inputs)),
    elements: async (indices) => pick(y!.data, indices.map(place)),
    dispose: () => created.release(),
  };
}
