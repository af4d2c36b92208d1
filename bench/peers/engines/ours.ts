/** This project's engine. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { convInputs, convPass } from '../../../src/bench/cases/convolution.ts';
import { measurePeaks } from '../../../src/bench/probes.ts';
import {
  conv2d,
  detectImage,
  exportOnnx,
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
import { LOSS_TERMS } from '../../../src/model/detector.ts';
import { picture } from '../../../test/model/seeded.ts';
import { torchvisionDetector } from '../../../test/model/seededDetectors.ts';
import {
  DETECTOR_FILE,
  DETECTOR_LEARNING_RATE,
  detectorCase,
  type DetectorRow,
  SEED,
  TRAINED_HEADS,
  trainingBoxes,
} from '../detector.ts';
import { matmulInputs, type PeerRow } from '../rows.ts';
import { LEARNING_RATE, MOMENTUM, OUTPUT_ELEMENTS, TRAINING_LAYERS, trainingInputs } from '../training.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';

/** Leaves the detector of a row as `detector.onnx` in `folder`. */
export async function open(folder: string): Promise<Engine> {
  const gpu = await openGpu();
  const { gflops } = await measurePeaks(gpu);
  return {
    adapter: gpu.adapter.description,
    peakGflops: gflops,
    prepare: async (row) => prepare(gpu, row, folder),
    close: () => gpu.close(),
  };
}

function prepare(gpu: Gpu, row: PeerRow, folder: string): PreparedRow | Promise<PreparedRow> {
  if (row.kind === 'conv') {
    return inScope(gpu, () => {
      const compute = convPass(gpu, row.layer, row.pass, convInputs(row.layer));
      return () => compute()[0]!;
    });
  }
  if (row.kind === 'training') return prepareTraining(gpu);
  if (row.kind === 'detection') return prepareDetection(gpu, row, folder);
  if (row.kind === 'detector training') return prepareDetectorTraining(gpu, row);
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

async function prepareDetection(gpu: Gpu, row: DetectorRow, folder: string): Promise<PreparedRow> {
  const model = torchvisionDetector(gpu, detectorCase(row));
  const pixels = picture(SEED, row.height, row.width);
  writeFileSync(join(folder, DETECTOR_FILE), await exportOnnx(model));
  let scores: number[] = [];
  return {
    async run() {
      scores = (await detectImage(model, pixels)).map(({ score }) => score);
    },
    elements: async (indices) => indices.map((i) => scores[i] ?? 0),
    dispose() {
      model.dispose();
      gpu.trim();
    },
  };
}

function prepareDetectorTraining(gpu: Gpu, row: DetectorRow): PreparedRow {
  const model = torchvisionDetector(gpu, detectorCase(row), (config) => config, TRAINED_HEADS);
  const pixels = picture(SEED, row.height, row.width);
  const sgd = new Sgd(Object.values(model.parameters), { learningRate: DETECTOR_LEARNING_RATE, momentum: MOMENTUM });
  let losses: Tensor[] = [];
  return {
    async run() {
      losses.forEach((loss) => loss.dispose());
      sgd.zeroGrad();
      losses = gpu.scope(() => {
        const image = model.prepare(pixels);
        const terms = model.losses(image, model.truth(trainingBoxes(row), image), { random: false, seed: 0 });
        model.total(terms).backward({ free: true });
        return LOSS_TERMS.map((term) => terms[term]);
      });
      sgd.step();
      await gpu.finish();
    },
    elements: (indices) => Promise.all(indices.map(async (i) => (await losses[i]!.read())[0]!)),
    dispose() {
      losses.forEach((loss) => loss.dispose());
      sgd.dispose();
      model.dispose();
      gpu.trim();
    },
  };
}
