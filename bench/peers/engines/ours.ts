/** This project's engine. */
import { convInputs, convPass } from '../../../src/bench/cases/convolution.ts';
import { measurePeaks } from '../../../src/bench/probes.ts';
import {
  conv2d,
  type Gpu,
  linear,
  multiply,
  openGpu,
  relu,
  scale,
  Sgd,
  sum,
  type Tensor,
  zeros,
} from '../../../src/node.ts';
import { matmulInputs, type PeerRow } from '../rows.ts';
import { LEARNING_RATE, MOMENTUM, OUTPUT_ELEMENTS, TRAINING_LAYERS, trainingInputs } from '../training.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';

export async function open(): Promise<Engine> {
  const gpu = await openGpu();
  const { gflops } = await measurePeaks(gpu);
  return {
    adapter: gpu.adapter.description,
    peakGflops: gflops,
    prepare: async (row) => prepare(gpu, row),
    close: () => gpu.close(),
  };
}

function prepare(gpu: Gpu, row: PeerRow): PreparedRow {
  if (row.kind === 'conv') {
    return inScope(gpu, () => {
      const compute = convPass(gpu, row.layer, row.pass, convInputs(row.layer));
      return () => compute()[0]!;
    });
  }
  if (row.kind === 'training') return prepareTraining(gpu);
  return inScope(gpu, () => {
    const inputs = matmulInputs(row.n);
    const [a, b] = [inputs.a, inputs.b].map((values) => gpu.tensor(values, [row.n, row.n])) as [Tensor, Tensor];
    return () => linear(a, b, null);
  });
}

/** `make` makes the inputs and returns a function that computes; the scope that holds the inputs ends at `dispose`. */
function inScope(gpu: Gpu, make: () => () => Tensor): PreparedRow {
  let compute: (() => Tensor) | undefined;
  let result: Tensor | undefined;
  let end: () => void;
  const scope = gpu.scope(async () => {
    compute = make();
    await new Promise<void>((resolve) => (end = resolve));
  });
  return {
    async run() {
      result?.dispose();
      result = gpu.scope(compute!);
      await gpu.finish();
    },
    elements: async (indices) => pick(await result!.read(), indices),
    async dispose() {
      end();
      await scope;
      gpu.trim();
    },
  };
}

function prepareTraining(gpu: Gpu): PreparedRow {
  const { image, filters } = trainingInputs();
  const x = gpu.tensor(image, [1, 3, 160, 160], 'image');
  const layers = TRAINING_LAYERS.map(({ C, K, side }, i) => ({
    weight: gpu.parameter(filters[i]!, [K, C, side, side], `conv${i + 1}.weight`),
    bias: gpu.parameter(zeros, [K], `conv${i + 1}.bias`),
  }));
  const parameters = layers.flatMap(({ weight, bias }) => [weight, bias]);
  const sgd = new Sgd(parameters, { learningRate: LEARNING_RATE, momentum: MOMENTUM });
  return {
    async run() {
      sgd.zeroGrad();
      gpu.scope(() => {
        let y = x;
        TRAINING_LAYERS.forEach(({ stride, pad: padding }, i) => {
          y = relu(conv2d(y, layers[i]!.weight, layers[i]!.bias, { stride, padding }));
        });
        scale(sum(multiply(y, y)), 1 / OUTPUT_ELEMENTS).backward();
      });
      sgd.step();
      await gpu.finish();
    },
    async elements(indices) {
      const moved = (await layers[0]!.weight.read()).map((value, i) => value - filters[0]![i]!);
      return pick(moved, indices);
    },
    dispose() {
      [x, ...parameters, ...sgd.slots.map(({ state }) => state.momentum)].forEach((tensor) => tensor.dispose());
      gpu.trim();
    },
  };
}
