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
  type Sample,
  detectInStages,
  evaluate,
  type EvaluationReport,
  type Detector,
  makeDetector,
  type Gpu,
  kernelChecks,
  loadPublished,
  loadRun,
  median,
  stageTimes,
  type MetricsLine,
  type LossTerm,
  openDigits,
  parseRunConfig,
  type DecodedImage,
  PRESETS,
  reportedLimits,
  requestGpu,
  type RunConfig,
  runKernelCheck,
  exportOnnx,
  serializeCheckpoint,
  type StagedDetection,
  trainDetector,
  withSteps,
} from '../src/index.ts';
import { readDigits } from './digits.ts';
import { Turns } from './turns.ts';

/** What the session reports to the page while a call runs. */
export type SessionEvent =
  | { kind: 'lost'; message: string }
  | { kind: 'step'; step: number; seconds: number }
  | { kind: 'losses'; line: MetricsLine<LossTerm> }
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

export type WeightsSource = 'trained' | 'loaded';

export interface LoadedRun {
  classes: string[];
  backbone: string;
  parameters: number;
}

const SEED = 1;
/** How many test scenes are shown during training; the Detect part uses those that follow. */
const SHOWN = 9;
/** How many test scenes the average precision at the end is measured on. */
const EVALUATED = 100;
/** Between two detections in the test scenes lie a multiple of these steps, a second at least, and ten times a detection's time. */
const LOOK = { steps: 25, milliseconds: 1000, share: 1 / 10 };

export class Session {
  private readonly tell: (event: SessionEvent) => void;
  /** Only one task uses the device at a time; between two steps of a training the others have their turn. */
  private readonly turns = new Turns();
  private gpu!: Gpu;
  private scenes!: Record<'train' | 'test', Dataset>;
  private models: Partial<Record<WeightsSource, Detector>> = {};
  private run: RunConfig | undefined;
  private done = { step: 0, seconds: 0, dataSeconds: 0 };
  private paused: Promise<void> | undefined;
  private resumed: (() => void) | undefined;
  private stop = new AbortController();

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
    const open = (split: 'train' | 'test') => openDigits({ split, seed: SEED }, (split) => digits[split]);
    this.scenes = { train: open('train'), test: open('test') };
    const { samples, classes } = this.scenes.test;
    return { pictures: await Promise.all(samples.slice(0, SHOWN).map((sample) => sample.load())), classes };
  }

  /** A test scene that is not among those shown. */
  testScene(number: number): Promise<DecodedImage> {
    const { samples } = this.scenes.test;
    return samples[SHOWN + (number % (samples.length - SHOWN))]!.load();
  }

  /** Trains from random weights to the end or until `abandon`, then evaluates. Null if it was abandoned. */
  async train(steps: number): Promise<EvaluationReport | null> {
    const { detector, training } = PRESETS['demo']!;
    const { train, test } = this.scenes;
    const config: RunConfig = {
      format: 1,
      data: 'digits',
      split: 'train',
      preset: 'demo',
      schedule: 'joint',
      init: null,
      skipBadBoxes: false,
      checkpointInterval: steps,
      detector: { ...detector, classes: train.classes },
      training: withSteps({ ...training, seed: SEED }, steps),
    };
    let end = await this.turns.take();
    try {
      this.models.trained?.dispose();
      const model = makeDetector(this.gpu, config.detector, SEED);
      this.models.trained = model;
      this.run = config;
      this.stop = new AbortController();
      this.done = { step: 0, seconds: 0, dataSeconds: 0 };
      await this.look(model, 0);
      let resumedAt = performance.now();
      let nextLook = resumedAt + LOOK.milliseconds;
      await trainDetector({
        model,
        dataset: train,
        training: config.training,
        signal: this.stop.signal,
        onMetrics: (line) => this.tell({ kind: 'losses', line }),
        onStep: async (step) => {
          this.done.step = step;
          this.done.seconds += (performance.now() - resumedAt) / 1000;
          this.tell({ kind: 'step', step, seconds: this.done.seconds });
          end(); // lets detections run that were requested meanwhile
          if (step < steps) await this.paused;
          end = await this.turns.take();
          resumedAt = performance.now();
          if ((step % LOOK.steps === 0 && resumedAt >= nextLook) || step === steps) {
            const began = resumedAt;
            await this.look(model, step);
            resumedAt = performance.now();
            nextLook = resumedAt + Math.max(LOOK.milliseconds, (resumedAt - began) / LOOK.share);
          }
        },
      });
      if (this.stop.signal.aborted) return null;
      const dataset = { ...test, samples: test.samples.slice(0, EVALUATED) };
      const onImage = (done: number) => this.tell({ kind: 'evaluated', done, total: EVALUATED });
      return (await evaluate(model, dataset, 'voc10', onImage)).report;
    } finally {
      end();
    }
  }

  /** What the detector finds in the test scenes at this point. */
  private async look(model: Detector, step: number): Promise<void> {
    const scenes: StagedDetection[] = [];
    for (const sample of this.scenes.test.samples.slice(0, SHOWN)) {
      scenes.push(await detectInStages(model, await sample.load()));
    }
    this.tell({ kind: 'found', step, scenes });
  }

  /** Makes the training wait after its next step. */
  pause(): void {
    this.paused ??= new Promise((resolve) => (this.resumed = resolve));
  }

  resume(): void {
    this.resumed?.();
    this.paused = undefined;
  }

  /** Ends the training after its next step, without evaluating. */
  abandon(): void {
    this.stop.abort();
    this.resume();
  }

  /** The weights trained so far, as the two files of a run. */
  async save(): Promise<{ config: string; checkpoint: Uint8Array<ArrayBuffer> }> {
    return this.turns.during(async () => ({
      config: JSON.stringify(this.run, null, 2) + '\n',
      checkpoint: await serializeCheckpoint(this.models.trained!, undefined, this.done),
    }));
  }

  /** What was trained so far, as an ONNX model. */
  async exportOnnx(): Promise<Uint8Array<ArrayBuffer>> {
    return this.turns.during(() => exportOnnx(this.models.trained!));
  }

  /** Loads a run, trained here or in Node, from its two files. Throws one line about the one that is wrong. */
  async load(config: string, checkpoint: Uint8Array): Promise<LoadedRun> {
    return this.turns.during(async () => this.take(await loadRun(this.gpu, parseRunConfig(config), checkpoint)));
  }

  /** Loads a detector of torchvision's from its file of weights. Throws one line about what is wrong with it. */
  async loadWeights(name: string, bytes: Uint8Array): Promise<LoadedRun> {
    return this.turns.during(async () => this.take(loadPublished(this.gpu, bytes, name)));
  }

  private take(model: Detector): LoadedRun {
    this.models.loaded?.dispose();
    this.models.loaded = model;
    const { classes, backbone } = model.config;
    const parameters = Object.values(model.parameters).reduce((sum, { size }) => sum + size, 0);
    return { classes, backbone, parameters };
  }

  /** The objects in an image, with the proposals and the time of each part. */
  async detect(weights: WeightsSource, pixels: DecodedImage): Promise<StagedDetection> {
    return this.turns.during(async () => {
      const model = this.models[weights]!;
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

function facts({ adapter, device }: Gpu): AdapterFacts {
  return {
    description: adapter.description,
    software: adapter.software,
    limits: reportedLimits(device),
    features: [...device.features].sort(),
  };
}
