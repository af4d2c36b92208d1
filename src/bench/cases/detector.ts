/**
 * Whole detections and training steps from random weights, until the device is done. There is no float64 reference for a
 * whole network, so the check is that every number is finite and that a second run from the same weights gives the same bits.
 * A detection also reports its stages (paper, table 5), each timed until the device is done.
 */
import { openDataset } from '../../data/registry.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import type { Gpu, TypedArray } from '../../engine/gpu.ts';
import { Sgd } from '../../engine/sgd.ts';
import type { Precision } from '../../model/config.ts';
import type { Detector, LabelledBox } from '../../model/detector.ts';
import type { RegionRanks } from '../../model/backbones/backbone.ts';
import { makeDetector } from '../../model/detectors.ts';
import { detectInStages, type StagedDetection, STAGES } from '../../run/evaluation/detect.ts';
import { lossScale } from '../../run/training/trainDetector.ts';
import { PRESETS } from '../../run/config/presets.ts';
import { type BenchCase, HALF_GROUP, type PreparedCase } from '../case.ts';
import { verdict } from '../compare.ts';
import { uniform } from '../inputs.ts';
import { median } from '../statistics.ts';

interface Scene {
  picture: DecodedImage;
  boxes: readonly LabelledBox[];
  classes: string[];
}

/** Of VGG-16 in a detection: its parameters, and the maps of an image of 600x800. */
const VGG16_BYTES = 2 ** 30;
/** For a training step of VGG-16: parameters with gradient and momentum, and the maps of an image of 600x800. */
const VGG16_STEP_BYTES = 3.5 * 2 ** 30;

interface Network {
  preset: string;
  name: string;
  shape: string;
  quick?: boolean;
  scene(): Promise<Scene>;
  /** Bytes that a training step needs, stated if they are many. */
  stepBytes?: number;
}

const SMALL: Network = { preset: 'digits', name: 'small backbone', shape: '160x160', quick: true, scene: digitScene };
const SQUEEZENET: Network = {
  preset: 'photos',
  name: 'SqueezeNet 1.1',
  shape: '480x640',
  scene: async () => noiseScene(480, 640),
};
const VGG16: Network = {
  preset: 'paper-vgg16-voc07',
  name: 'VGG-16',
  shape: '600x800',
  scene: async () => noiseScene(600, 800),
  stepBytes: VGG16_STEP_BYTES,
};

/** Parameters with gradient and momentum, and the maps of an image of 800x1066. */
const RESNET_STEP_BYTES = 4 * 2 ** 30;
const RESNET50_FPN: Network = {
  preset: 'resnet50-fpn',
  name: 'ResNet-50-FPN',
  shape: '800x1066',
  scene: async () => noiseScene(800, 1066),
  stepBytes: RESNET_STEP_BYTES,
};

/** VGG-16's region stage as it is, and with fc6 and fc7 truncated as published (Fast R-CNN, section 3.1). */
const regionCases: readonly BenchCase[] = [
  regionCase('fc6 and fc7 whole', undefined),
  regionCase('fc6 and fc7 of rank 1024 and 256', { fc6: 1024, fc7: 256 }),
];

export const detectorCases: readonly BenchCase[] = [
  ...[SMALL, SQUEEZENET, VGG16, RESNET50_FPN].flatMap((network) => detectorPair(network, 'f32')),
  ...regionCases,
];
export const halfDetectorCases: readonly BenchCase[] = detectorPair(SQUEEZENET, 'f16');

function detectorPair(network: Network, precision: Precision): BenchCase[] {
  const { preset, name, shape, quick = false, scene, stepBytes = 0 } = network;
  const half = precision === 'f16';
  const named = half
    ? { group: HALF_GROUP, shape: `${name} f16 ${shape}` }
    : { group: 'Detector', shape: `${name} ${shape}` };
  const row = { ...named, quick, half, clock: 'wall' as const };
  const { detector, training } = PRESETS[preset]!;
  const load = async (gpu: Gpu) => {
    const loaded = await scene();
    const model = makeDetector(gpu, { ...detector, classes: loaded.classes, precision }, 1);
    return { ...loaded, model, scale: lossScale(model, training) };
  };
  return [
    { ...row, op: 'detection', prepare: async (gpu) => prepareDetection(await load(gpu)) },
    { ...row, op: 'training step', memory: stepBytes, prepare: async (gpu) => prepareStep(await load(gpu)) },
  ];
}

/** RoI pooling, the region layers, the output layers and the selection of detections, for 300 proposals. */
function regionCase(layers: string, ranks: RegionRanks | undefined): BenchCase {
  const { detector } = PRESETS[VGG16.preset]!;
  return {
    group: 'Detector',
    op: 'region stage',
    shape: `${VGG16.name} ${VGG16.shape}, 300 proposals, ${layers}`,
    quick: false,
    clock: 'wall',
    memory: VGG16_BYTES,
    async prepare(gpu) {
      const { picture, classes } = await VGG16.scene();
      const model = makeDetector(gpu, { ...detector, classes, ranks }, 1);
      const image = model.prepare(picture);
      const maps = model.convolve(image);
      const proposals = model.proposeOn(maps, image);
      const compute = () => {
        const { rows, count } = model.classify(maps, proposals, image);
        return [rows, count];
      };
      return {
        compute: twiceAtFirst(compute),
        plans: model.plans,
        check: sameBits,
        dispose: () => model.dispose(),
      };
    },
  };
}

type Loaded = Scene & { model: Detector; scale: number };

function prepareDetection({ model, picture }: Loaded): PreparedCase {
  const compute = () => {
    const { rows, count } = model.detect(model.prepare(picture));
    return [rows, count];
  };
  return {
    // The first call runs it twice, so that the second result can be compared with the first.
    compute: twiceAtFirst(compute),
    plans: model.plans,
    check: sameBits,
    extras: () => stages(model, picture),
    dispose: () => model.dispose(),
  };
}

function prepareStep({ model, picture, boxes, scale }: Loaded): PreparedCase {
  const optimizer = new Sgd(Object.values(model.parameters), { learningRate: 1e-4, momentum: 0.9, weightDecay: 5e-4 });
  const losses = () => {
    const image = model.prepare(picture);
    return model.losses(image, model.truth(boxes, image), { random: true, seed: 1 });
  };
  const step = () => {
    optimizer.zeroGrad();
    const terms = losses();
    model.total(terms).backward({ free: true, scale });
    optimizer.step(scale);
    return Object.values(terms);
  };
  let first = true;
  return {
    compute() {
      if (!first) return step();
      first = false;
      const before = model.gpu.withoutGradients(losses);
      return [...Object.values(before), ...step()];
    },
    plans: model.plans,
    check: sameBits,
    dispose() {
      optimizer.slots.forEach(({ state }) => Object.values(state).forEach((tensor) => tensor.dispose()));
      model.dispose();
    },
  };
}

function twiceAtFirst<T>(compute: () => T[]): () => T[] {
  let first = true;
  return () => {
    if (!first) return compute();
    first = false;
    return [...compute(), ...compute()];
  };
}

/** The second half of the results equals the first, and all is finite. */
function sameBits(results: TypedArray[]) {
  const half = results.length / 2;
  const problems: string[] = [];
  results.forEach((values, i) => {
    if (!values.every(Number.isFinite)) problems.push(`result ${i} is not finite`);
    if (i < half && values.some((value, k) => value !== results[half + i]![k])) problems.push(`result ${i} changed`);
  });
  return verdict(
    results.reduce((sum, { length }) => sum + length, 0),
    problems,
  );
}

/** Milliseconds of each stage of a detection, the medians of three. */
async function stages(model: Detector, picture: DecodedImage): Promise<Record<string, number>> {
  const runs: StagedDetection[] = [];
  for (let i = 0; i < 3; i++) runs.push(await detectInStages(model, picture));
  return Object.fromEntries(STAGES.map((stage) => [stage, median(runs.map((run) => run.milliseconds[stage]))]));
}

async function digitScene(): Promise<Scene> {
  const { samples, classes } = await openDataset('digits', { split: 'train' });
  return { picture: await samples[0]!.load(), boxes: samples[0]!.boxes, classes };
}

/** Random pixels and two boxes of 20 classes: the time does not depend on the content. */
function noiseScene(height: number, width: number): Scene {
  const rgba = Uint8Array.from(uniform(height * width * 4, 1), (value) => 128 + 127 * value);
  const boxes = [
    { x1: 40, y1: 60, x2: 199, y2: 219, classIndex: 1 },
    { x1: 300, y1: 100, x2: 580, y2: 420, classIndex: 2 },
  ];
  return { picture: { width, height, rgba }, boxes, classes: Array.from({ length: 21 }, (_, i) => `class ${i}`) };
}
