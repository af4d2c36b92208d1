/**
 * Everything the page does with the library: opening a device, training, loading a run, detecting, checking the kernels. It
 * touches no element of the page, so it runs in a worker (worker.ts), or in the page itself if workers have no WebGPU.
 *
 * Your own program imports the same names from 'webgpu-rcnn'.
 */
import {
  makeOptimizer,
  type CheckOutcome,
  type Dataset,
  type DecodedImage,
  type Detector,
  detectInStages,
  evaluate,
  type EvaluationReport,
  exportOnnx,
  fillInitialWeights,
  type Gpu,
  kernelChecks,
  type LabelledBox,
  loadPublished,
  loadRun,
  makeDetector,
  median,
  parseRunConfig,
  parseSafetensors,
  parseWeights,
  PRESETS,
  type Progress,
  reportedLimits,
  requestGpu,
  type RunConfig,
  runKernelCheck,
  type Safetensors,
  type Sample,
  serializeCheckpoint,
  type StagedDetection,
  stageTimes,
  trainDetector,
  UserError,
} from '../src/index.ts';
import { readDigits } from './digits.ts';
import { digitScenes, digitsRun, SEED, SHOWN } from './digitsRun.ts';
import { isLabelBackbone, LABEL_BACKBONES, type LabelBackbone, labelDetector, labelTraining } from './label/recipe.ts';
import { decodePixels } from './pictures.ts';
import { readDigitsWeights } from './recorded.ts';
import { Training, type TrainingEvent } from './training.ts';
import { Turns } from './turns.ts';

/** What the session reports to the page while a call runs. */
export type SessionEvent =
  | { kind: 'lost'; message: string }
  /** A network is there to be trained, in place of the one before: from now on the training can be paused and ended. */
  | { kind: 'begun'; of: Trained; network: LoadedRun }
  | (TrainingEvent & { of: Trained })
  /** The weights so far of the training on labels, to be kept in case the device is lost or the page closed. */
  | { kind: 'kept'; run: RunFiles; network: LoadedRun }
  | { kind: 'found'; step: number; scenes: StagedDetection[] }
  | { kind: 'evaluated'; done: number; total: number }
  | { kind: 'checked'; done: number; total: number; outcome: CheckOutcome };

/** Facts to show and to put into a bug report. */
export interface AdapterFacts {
  description: string;
  software: boolean;
  limits: Record<string, number>;
  features: string[];
}

/** The networks that are trained here: on digits, and on the user's labels. */
export type Trained = 'trained' | 'labelled';
export type WeightsSource = Trained | 'loaded';

export interface LoadedRun {
  classes: string[];
  backbone: string;
  parameters: number;
}

/** The two files of a run. */
export interface RunFiles {
  config: string;
  checkpoint: Uint8Array<ArrayBuffer>;
}

/** Where a training on labels starts: what it learned before, the digits' network, random weights, or files of the user's. */
export type Start = 'labelled' | 'digits' | 'nothing' | 'files';

export interface LabelTask {
  /** Index 0 is '__background__'. */
  classes: string[];
  pictures: { name: string; width: number; height: number; file: Blob; boxes: LabelledBox[] }[];
  start: Start;
  /** For `files`: those of a run, or one of weights. */
  files: File[];
  steps: number;
  /** Whether mirrored pictures show the same classes. */
  flip: boolean;
}

/** How many test scenes the average precision at the end is measured on. */
const EVALUATED = 100;
/** Between two copies of the weights that a training on labels gives the page to keep. */
const KEPT_MILLISECONDS = 10_000;
/** Between two detections in the test scenes lie a multiple of these steps, a second at least, and ten times a detection's time. */
const LOOK = { steps: 25, milliseconds: 1000, share: 1 / 10 };

export class Session {
  private readonly tell: (event: SessionEvent) => void;
  /** Only one task uses the device at a time; between two steps of a training the others have their turn. */
  private readonly turns = new Turns();
  private gpu!: Gpu;
  private scenes!: Record<'train' | 'test', Dataset>;
  private networks: Partial<Record<WeightsSource, Network>> = {};
  private trainings: Partial<Record<Trained, Training>> = {};

  constructor(tell: (event: SessionEvent) => void) {
    this.tell = tell;
  }

  /** Opens the device. If there is none, throws one line that says what to do. */
  async open(): Promise<AdapterFacts> {
    this.gpu = await requestGpu();
    void this.gpu.device.lost.then(({ message, reason }) => {
      this.tell({
        kind: 'lost',
        message: `The GPU device was lost (${message || reason}). Reload this page to go on.`,
      });
    });
    return facts(this.gpu);
  }

  /** The test scenes that are shown, drawn with digits that training never sees. */
  async openScenes(): Promise<{ pictures: DecodedImage[]; classes: string[] }> {
    const digits = await readDigits();
    this.scenes = { train: digitScenes(digits, 'train'), test: digitScenes(digits, 'test') };
    const { samples, classes } = this.scenes.test;
    return { pictures: await Promise.all(samples.slice(0, SHOWN).map((sample) => sample.load())), classes };
  }

  /** A test scene that is not among those shown. */
  testScene(number: number): Promise<DecodedImage> {
    const { samples } = this.scenes.test;
    return samples[SHOWN + (number % (samples.length - SHOWN))]!.load();
  }

  /** Trains on digits from random weights to the end or until `abandon`, then evaluates. Null if it was abandoned. */
  async train(steps: number): Promise<EvaluationReport | null> {
    const { train, test } = this.scenes;
    const training = await this.begin('trained', digitsRun(train.classes, steps));
    const { model } = training;
    let nextLook = performance.now() + LOOK.milliseconds;
    const finished = await training.run(train, this.turns, this.teller('trained'), async (step) => {
      const due = step % LOOK.steps === 0 && performance.now() >= nextLook;
      if (!due && step > 0 && step < steps) return;
      const began = performance.now();
      await this.look(model, step);
      nextLook = performance.now() + Math.max(LOOK.milliseconds, (performance.now() - began) / LOOK.share);
    });
    if (!finished) return null;
    const dataset = { ...test, samples: test.samples.slice(0, EVALUATED) };
    const onImage = (done: number) => this.tell({ kind: 'evaluated', done, total: EVALUATED });
    return this.turns.during(async () => (await evaluate(model, dataset, 'voc10', { onImage })).report);
  }

  /** Trains on the user's labels. False if it was abandoned; what it learned until then is there to use all the same. */
  async trainOnLabels(task: LabelTask): Promise<boolean> {
    const { classes, pictures, steps, flip } = task;
    const start = await this.startOf(task);
    const { backbone, system = 'faster-rcnn' } = start.detector;
    if (!isLabelBackbone(backbone) || system !== 'faster-rcnn') {
      throw new UserError(
        `${start.weights?.source}: this run is ${system} on ${backbone}; choose one that is faster-rcnn on ${LABEL_BACKBONES.join(' or ')}`,
      );
    }
    const config: RunConfig = {
      ...digitsRun(classes, steps),
      data: 'labels',
      preset: 'labels',
      detector: start.detector,
      training: labelTraining(backbone, { steps, flip, seed: SEED }),
    };
    const training = await this.begin('labelled', config, start.weights);
    const samples = pictures.map(({ name, width, height, file, boxes }): Sample => ({
      ...{ id: name, width, height, load: () => decodePixels(file, name) },
      boxes: boxes.map((box) => ({ ...box, difficult: false })),
    }));
    const dataset: Dataset = { name: 'labels', classes, samples, flippable: true, notes: [] };
    let nextKept = performance.now() + KEPT_MILLISECONDS;
    const keep = async () =>
      this.tell({ kind: 'kept', run: await filesOf(training), network: factsOf(training.model) });
    const finished = await training.run(dataset, this.turns, this.teller('labelled'), async (step) => {
      if (step < steps && performance.now() < nextKept) return;
      await keep();
      nextKept = performance.now() + KEPT_MILLISECONDS;
    });
    if (!finished) await this.turns.during(keep);
    return finished;
  }

  /** The network that a training on labels starts with, and its weights. */
  private async startOf({ start, files, classes, pictures }: LabelTask): Promise<InitialNetwork> {
    const recipe = (backbone: LabelBackbone) => labelDetector(backbone, classes, pictures);
    if (start === 'labelled') {
      const { config, checkpoint } = await this.turns.during(() => filesOf(this.networks.labelled!));
      const weights = { source: 'the weights learned before', file: parseSafetensors(checkpoint, 'weights') };
      return { detector: { ...parseRunConfig(config).detector, classes }, weights };
    }
    if (start === 'digits') {
      return { detector: recipe('small'), weights: { source: 'digits', file: await readDigitsWeights() } };
    }
    if (start === 'nothing') return { detector: recipe('small') };
    const config = files.find(({ name }) => name.endsWith('.json'));
    const chosen = files.find((one) => one !== config);
    if (!chosen) throw new UserError('Choose a file of weights to start from, or the two files of a run.');
    const source = chosen.name;
    const file = parseWeights(await bytesOf(chosen), source);
    if (config) {
      const { detector } = parseRunConfig(await config.text(), config.name);
      return { detector: { ...detector, classes }, weights: { source, file } };
    }
    const isSqueezenet = Object.keys(file.tensors).some((name) => /(^|\.)(features\.)?3\.squeeze\.weight$/.test(name));
    return { detector: recipe(isSqueezenet ? 'squeezenet1_1' : 'small'), weights: { source, file } };
  }

  /** Makes the network of a training, in place of the one before. */
  private begin(of: Trained, config: RunConfig, weights?: InitialNetwork['weights']): Promise<Training> {
    return this.turns.during(async () => {
      const model = makeDetector(this.gpu, config.detector, config.training.seed);
      try {
        if (weights) fillInitialWeights(weights.file, weights.source, model);
      } catch (error) {
        model.dispose();
        throw error;
      }
      const training = new Training(model, config);
      this.use(of, training);
      this.trainings[of] = training;
      this.tell({ kind: 'begun', of, network: factsOf(model) });
      return training;
    });
  }

  private use(of: WeightsSource, network: Network): void {
    this.networks[of]?.model.dispose();
    this.networks[of] = network;
  }

  private readonly teller = (of: Trained) => (event: TrainingEvent) => this.tell({ ...event, of });

  /** What the detector finds in the test scenes at this point. */
  private async look(model: Detector, step: number): Promise<void> {
    const scenes: StagedDetection[] = [];
    for (const sample of this.scenes.test.samples.slice(0, SHOWN)) {
      scenes.push(await detectInStages(model, await sample.load()));
    }
    this.tell({ kind: 'found', step, scenes });
  }

  /** Makes a training wait after its next step. */
  pause(of: Trained): void {
    this.trainings[of]?.pause();
  }

  resume(of: Trained): void {
    this.trainings[of]?.resume();
  }

  /** Ends a training after its next step. */
  abandon(of: Trained): void {
    this.trainings[of]?.abandon();
  }

  /** The weights trained so far, as the two files of a run. */
  async save(of: Trained): Promise<RunFiles> {
    return this.turns.during(() => filesOf(this.networks[of]!));
  }

  /** What was trained so far, as an ONNX model. */
  async exportOnnx(of: Trained): Promise<Uint8Array<ArrayBuffer>> {
    return this.turns.during(() => exportOnnx(this.networks[of]!.model));
  }

  /** Loads a run, trained here or in Node, from its two files. Throws one line about the one that is wrong. */
  async load(config: string, checkpoint: Uint8Array, of: WeightsSource = 'loaded'): Promise<LoadedRun> {
    return this.turns.during(async () => {
      const parsed = parseRunConfig(config);
      return this.take(of, { model: await loadRun(this.gpu, parsed, checkpoint), config: parsed });
    });
  }

  /**
   * Loads a detector that torchvision or detectron2 published from its file of weights, which is read here, so that a large one is
   * in memory only once. Throws one line about what is wrong with it.
   */
  async loadWeights(file: File): Promise<LoadedRun> {
    return this.turns.during(async () =>
      this.take('loaded', { model: loadPublished(this.gpu, await bytesOf(file), file.name) }),
    );
  }

  private take(of: WeightsSource, network: Network): LoadedRun {
    this.use(of, network);
    return factsOf(network.model);
  }

  /** The objects in an image, with the proposals and the time of each part. */
  async detect(weights: WeightsSource, pixels: DecodedImage): Promise<StagedDetection> {
    return this.turns.during(async () => {
      const { model } = this.networks[weights]!;
      return detectInStages(model, pixels);
    });
  }

  /** Checks every kernel against its float64 reference, on a device of its own, so that an error there does not end a training. */
  async check(): Promise<CheckOutcome[]> {
    return this.turns.during(async () => {
      let gpu = await requestGpu();
      const checks = kernelChecks(gpu.plans.device, gpu.hasHalf);
      const outcomes: CheckOutcome[] = [];
      for (const build of checks) {
        const outcome = await runKernelCheck(gpu, build());
        outcomes.push(outcome);
        this.tell({ kind: 'checked', done: outcomes.length, total: checks.length, outcome });
        try {
          gpu.assertHealthy();
        } catch {
          gpu.close(); // after this error every later call on this device would fail
          gpu = await requestGpu();
        }
      }
      gpu.close();
      return outcomes;
    });
  }

  /** Median milliseconds of a step of the training above and of the parts of a detection, with random weights. */
  async measure(): Promise<{ step: number; detection: StagedDetection['milliseconds'] }> {
    return this.turns.during(async () => {
      const { detector, training } = PRESETS['demo']!;
      const dataset = this.scenes.train;
      const model = makeDetector(this.gpu, { ...detector, classes: dataset.classes }, SEED);
      const optimizer = makeOptimizer(model.parameters, training);
      const steps: number[] = [];
      let start = NaN; // the first step compiles shaders and is not counted
      const onStep = () => void (steps.push(performance.now() - start), (start = performance.now()));
      await trainDetector({ model, dataset, optimizer, training: { ...training, steps: 12 }, onStep });
      const detection = await stageTimes(model, Array<Sample>(5).fill(dataset.samples[0]!));
      optimizer.dispose();
      model.dispose();
      return { step: median(steps.slice(1)), detection };
    });
  }
}

/** A network, and how it came about if it was trained. */
interface Network {
  model: Detector;
  config?: RunConfig;
  done?: Progress;
}

interface InitialNetwork {
  detector: RunConfig['detector'];
  /** Random without it. `source` names it in messages. */
  weights?: { source: string; file: Safetensors };
}

async function filesOf({ model, config, done }: Network): Promise<RunFiles> {
  return {
    config: JSON.stringify(config, null, 2) + '\n',
    checkpoint: await serializeCheckpoint(model, undefined, done ?? { step: 0, seconds: 0, dataSeconds: 0 }),
  };
}

/** The content of a file. Throws one line if it was moved or changed since it was chosen, or is larger than the memory. */
const bytesOf = async (file: File): Promise<Uint8Array> => {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new UserError(`${file.name}: the browser cannot read it (${(error as Error).message}); choose it again`);
  }
};

function factsOf({ config: { classes, backbone }, parameters }: Detector): LoadedRun {
  return { classes, backbone, parameters: Object.values(parameters).reduce((sum, { size }) => sum + size, 0) };
}

function facts({ adapter, device }: Gpu): AdapterFacts {
  return {
    description: adapter.description,
    software: adapter.software,
    limits: reportedLimits(device),
    features: [...device.features].sort(),
  };
}
