/**
 * onnxruntime-node: forward only. Its times include the copies of inputs from the CPU and of results to it; for a convolution it
 * returns only two channels. With its WebGPU execution provider, which leaves to the CPU what it does not have, it computes every
 * forward row; with its CPU provider the detection alone, as the other rows are for one adapter.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { convInputs } from '../../../src/bench/cases/convolution.ts';
import { outputSize } from '../../../src/bench/shapes.ts';
import { picture } from '../../../test/model/seeded.ts';
import { DETECTOR_FILE, type DetectorRow, SEED } from '../detector.ts';
import { matmulInputs, type PeerRow } from '../rows.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';
import { convolutionModel, productModel } from './onnx.ts';

type Provider = 'webgpu' | 'cpu';

/** The part of its API that is used. */
interface OrtTensor {
  data: Float32Array;
}

interface Ort {
  Tensor: new (type: 'float32' | 'uint8', values: Float32Array | Uint8Array, shape: readonly number[]) => OrtTensor;
  InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: string[]; logSeverityLevel: number },
    ): Promise<{
      run(inputs: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
      release(): Promise<void>;
    }>;
  };
}

const PACKAGE: string = 'onnxruntime-node'; // not installed with the project: the compiler must not look for it
/** Errors only: it warns about every node that it leaves to the CPU. */
const LOG_ERRORS = 3;

export const open = (folder: string): Promise<Engine> => openOn('webgpu', folder);

export async function openOn(provider: Provider, folder: string): Promise<Engine> {
  const ort = (await import(PACKAGE)) as Ort;
  return { adapter: null, prepare: (row) => prepare(ort, provider, row, folder) };
}

async function prepare(ort: Ort, provider: Provider, row: PeerRow, folder: string): Promise<PreparedRow | null> {
  if (row.kind === 'detection') return detection(ort, provider, row, folder);
  if (provider === 'cpu') return null;
  const tensor = (values: Float32Array, shape: readonly number[]) => new ort.Tensor('float32', values, shape);
  const start = (model: Uint8Array, inputs: Record<string, OrtTensor>, place: (index: number) => number) =>
    session(ort, provider, model, inputs, 'y', (values, indices) => pick(values, indices.map(place)));
  if (row.kind === 'matmul') {
    const { a, b } = matmulInputs(row.n);
    const shape = [row.n, row.n];
    return start(productModel(row.n), { a: tensor(a, shape), b: tensor(b, shape) }, (index) => index);
  }
  if (row.kind !== 'conv' || row.pass !== 'forward') return null;
  const { C, K, H, W, side } = row.layer;
  const { OH, OW } = outputSize(row.layer);
  const { x, w } = convInputs(row.layer);
  const shape = [1, C, H, W];
  const model = convolutionModel(shape, { shape: [K, C, side, side], values: w }, row.layer);
  const last = (K - 2) * OH * OW;
  return start(model, { x: tensor(x, shape) }, (index) => (index < OH * OW ? index : index - last));
}

/** The network that our engine left in `folder`. */
function detection(ort: Ort, provider: Provider, { height, width }: DetectorRow, folder: string): Promise<PreparedRow> {
  const { rgba } = picture(SEED, height, width);
  const rgb = Uint8Array.from({ length: 3 * height * width }, (_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]!);
  const image = new ort.Tensor('uint8', rgb, [height, width, 3]);
  const model = readFileSync(join(folder, DETECTOR_FILE));
  return session(ort, provider, model, { image }, 'scores', (scores, indices) => indices.map((i) => scores[i] ?? 0));
}

async function session(
  ort: Ort,
  provider: Provider,
  model: Uint8Array,
  inputs: Record<string, OrtTensor>,
  output: string,
  elements: (values: Float32Array, indices: readonly number[]) => number[],
): Promise<PreparedRow> {
  const options = { executionProviders: [provider], logSeverityLevel: LOG_ERRORS };
  const created = await ort.InferenceSession.create(model, options);
  let result: OrtTensor | undefined;
  return {
    run: async () => void (result = (await created.run(inputs))[output]),
    elements: async (indices) => elements(result!.data, indices),
    dispose: () => created.release(),
  };
}
