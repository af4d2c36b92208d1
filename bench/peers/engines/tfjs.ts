/**
 * @tensorflow/tfjs on its WebGPU backend. Maps are NHWC and filters HWIO, its own layout. For gradients its
 * gradient kernels are called directly, so their times include no forward pass.
 */
import { createRequire } from 'node:module';
import { convInputs } from '../../../src/bench/cases/convolution.ts';
import { type ConvLayer, outputSize } from '../../../src/bench/shapes.ts';
import { matmulInputs, type PeerRow } from '../rows.ts';
import { LEARNING_RATE, MOMENTUM, OUTPUT_ELEMENTS, TRAINING_LAYERS, trainingInputs } from '../training.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';
import { provideNavigator } from './navigator.ts';

/** The part of its API that is used. */
interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
  square(): TfTensor;
  sum(): TfTensor;
  mul(factor: number): TfTensor;
  add(other: TfTensor): TfTensor;
  relu(): TfTensor;
}

interface Tf {
  ready(): Promise<void>;
  setBackend(name: string): Promise<boolean>;
  tensor(values: Float32Array, shape: number[]): TfTensor;
  variable(tensor: TfTensor): TfTensor;
  conv2d(x: TfTensor, filter: TfTensor, stride: number, pad: Padding): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA: boolean, transposeB: boolean): TfTensor;
  zeros(shape: number[]): TfTensor;
  tidy<T>(fn: () => T): T;
  train: { momentum(rate: number, momentum: number): { minimize(loss: () => TfTensor): void; dispose(): void } };
  engine(): { runKernel(name: string, inputs: object, attributes: object): TfTensor };
  backend(): { ensureCommandEncoderReady(): void; endComputePassEncoder(): void; submitQueue(): void; queue: GPUQueue };
}

type Padding = [[number, number], [number, number], [number, number], [number, number]];
const padding = (pad: number): Padding => [
  [0, 0],
  [pad, pad],
  [pad, pad],
  [0, 0],
];

export async function open(): Promise<Engine> {
  const adapter = await provideNavigator();
  // Loaded by require: in its ESM build the gradients do not register under Node.
  const require = createRequire(import.meta.url);
  const tf = require('@tensorflow/tfjs') as Tf;
  require('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('its WebGPU backend does not start');
  await tf.ready();
  return { adapter, prepare: async (row) => prepare(tf, row) };
}

async function finish(tf: Tf): Promise<void> {
  const backend = tf.backend();
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder(); // as its own reads do before they submit
  backend.submitQueue();
  await backend.queue.onSubmittedWorkDone();
}

function prepare(tf: Tf, row: PeerRow): PreparedRow | null {
  if (row.kind === 'training') return prepareTraining(tf);
  if (row.kind === 'conv') return prepareConv(tf, row);
  if (row.kind !== 'matmul') return null;
  const { n } = row;
  const inputs = matmulInputs(n);
  const [a, b] = [tf.tensor(inputs.a, [n, n]), tf.tensor(inputs.b, [n, n])];
  return keepLast(
    tf,
    [a, b],
    () => tf.matMul(a, b, false, true),
    (index) => index,
  );
}

function prepareConv(tf: Tf, { layer, pass }: Extract<PeerRow, { kind: 'conv' }>): PreparedRow {
  const { C, K, H, W, side, stride, pad } = layer;
  const { OH, OW } = outputSize(layer);
  const inputs = convInputs(layer);
  const map = (values: Float32Array, channels: number, height: number, width: number) =>
    tf.tensor(toChannelsLast(values, channels, height * width), [1, height, width, channels]);
  const attributes = { strides: [stride, stride], pad: padding(pad), dataFormat: 'NHWC', dimRoundingMode: undefined };
  const filter = () => tf.tensor(toHwio(inputs.w, layer), [side, side, C, K]);
  if (pass === 'forward') {
    const [x, w] = [map(inputs.x, C, H, W), filter()];
    return keepLast(tf, [x, w], () => tf.conv2d(x, w, stride, padding(pad)), channelsLastIndex(K, OH * OW));
  }
  const dy = map(inputs.dy, K, OH, OW);
  if (pass === 'input gradient') {
    const w = filter();
    const dx = () =>
      tf.engine().runKernel('Conv2DBackpropInput', { dy, filter: w }, { ...attributes, inputShape: [1, H, W, C] });
    return keepLast(tf, [dy, w], dx, channelsLastIndex(C, H * W));
  }
  const x = map(inputs.x, C, H, W);
  const dw = () =>
    tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, { ...attributes, filterShape: [side, side, C, K] });
  return keepLast(tf, [x, dy], dw, (index) => hwioIndex(layer, index));
}

function keepLast(
  tf: Tf,
  inputs: readonly TfTensor[],
  compute: () => TfTensor,
  place: (index: number) => number,
): PreparedRow {
  let result: TfTensor | undefined;
  return {
    async run() {
      result?.dispose();
      result = tf.tidy(compute);
      await finish(tf);
    },
    elements: async (indices) => pick(await result!.data(), indices.map(place)),
    dispose: () => [...inputs, result].forEach((tensor) => tensor?.dispose()),
  };
}

function prepareTraining(tf: Tf): PreparedRow {
  const { image, filters } = trainingInputs();
  const x = tf.tensor(toChannelsLast(image, 3, 160 * 160), [1, 160, 160, 3]);
  const before = TRAINING_LAYERS.map((layer, i) => toHwio(filters[i]!, layer));
  const layers = TRAINING_LAYERS.map(({ C, K, side }, i) => ({
    weight: tf.variable(tf.tensor(before[i]!, [side, side, C, K])),
    bias: tf.variable(tf.zeros([K])),
  }));
  const optimizer = tf.train.momentum(LEARNING_RATE, MOMENTUM);
  return {
    async run() {
      tf.tidy(() =>
        optimizer.minimize(() => {
          let y = x;
          TRAINING_LAYERS.forEach(({ stride, pad }, i) => {
            y = tf.conv2d(y, layers[i]!.weight, stride, padding(pad)).add(layers[i]!.bias).relu();
          });
          return y
            .square()
            .sum()
            .mul(1 / OUTPUT_ELEMENTS);
        }),
      );
      await finish(tf);
    },
    async elements(indices) {
      const moved = (await layers[0]!.weight.data()).map((value, i) => value - before[0]![i]!);
      return pick(
        moved,
        indices.map((index) => hwioIndex(TRAINING_LAYERS[0]!, index)),
      );
    },
    dispose() {
      [x, ...layers.flatMap(({ weight, bias }) => [weight, bias])].forEach((tensor) => tensor.dispose());
      optimizer.dispose();
    },
  };
}

/** [C, cells] -> [cells, C] */
function toChannelsLast(values: Float32Array, channels: number, cells: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < cells; i++) result[i * channels + c] = values[c * cells + i]!;
  return result;
}

const channelsLastIndex =
  (channels: number, cells: number) =>
  (index: number): number =>
    (index % cells) * channels + Math.floor(index / cells);

/** The place of element `index` of [K, C, R, S] in [R, S, C, K]. */
function hwioIndex({ C, K, side }: ConvLayer, index: number): number {
  const tap = index % (side * side);
  const [c, k] = [Math.floor(index / (side * side)) % C, Math.floor(index / (side * side * C))];
  return (tap * C + c) * K + k;
}

function toHwio(values: Float32Array, layer: ConvLayer): Float32Array {
  const result = new Float32Array(values.length);
  values.forEach((value, i) => (result[hwioIndex(layer, i)] = value));
  return result;
}
