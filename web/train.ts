/** The Train part: trains from random weights, and shows the losses and what is found in scenes it never trained on. */
import type { EvaluationReport, DecodedImage, StagedDetection } from '../src/index.ts';
import { draw, type Layer, LAYERS } from './boxes.ts';
import { attempt, download, duration, element, make, segments } from './dom.ts';
import { LossChart } from './lossChart.ts';
import { bitmap } from './pictures.ts';
import type { RecordedRun } from './recorded.ts';
import type { RemoteSession } from './remote.ts';
import type { SessionEvent } from './session.ts';

const THRESHOLD = 0.5;
/** The rate is measured over this many steps. */
const WINDOW = 50;

const HINTS: Readonly<Record<Layer, string>> = {
  proposals:
    'First stage: the 20 best of the 100 regions that the region proposal network proposes. Yellow means a high score.',
  detections: `Second stage: what the detection head makes of the proposals, if its score is above ${THRESHOLD}.`,
};

export interface TrainPart {
  /** Allows training to begin, once there is a device. */
  enable(): void;
  /** Shows a run that was trained elsewhere, where there is no device. */
  replay(run: RecordedRun): void;
  listen(event: SessionEvent): void;
  /** The number of steps done, or null if nothing has been trained yet. */
  readonly step: number | null;
}

export function startTrain(
  session: RemoteSession,
  { pictures, classes }: { pictures: DecodedImage[]; classes: string[] },
): TrainPart {
  const chart = new LossChart(
    element<HTMLCanvasElement>('losses'),
    element('terms'),
    'The losses appear here once it trains.',
  );
  const start = element<HTMLButtonElement>('start');
  const restart = element<HTMLButtonElement>('restart');
  const save = element<HTMLButtonElement>('save');
  const exportModel = element<HTMLButtonElement>('export');
  const steps = element<HTMLInputElement>('steps');
  const state = element('state');
  let mode: 'idle' | 'starting' | 'training' | 'paused' | 'evaluating' = 'idle';
  let step: number | null = null;
  let total = 0;
  let times: { step: number; seconds: number }[] = [];

  const scenes = pictures.map((picture, i) => {
    const canvas = make('canvas');
    element('scenes').append(canvas);
    return {
      name: `Test scene ${i + 1}`,
      canvas,
      picture: bitmap(picture),
      found: undefined as StagedDetection | undefined,
    };
  });
  let layer: Layer = 'detections';
  const redraw = (): void => {
    for (const { name, canvas, picture, found } of scenes) {
      draw(canvas, { name, picture, classes, layer, threshold: THRESHOLD, ...(found && { found }) });
    }
  };
  segments('train-layer', LAYERS, (choice) => {
    layer = choice;
    element('train-hint').textContent = HINTS[layer];
    redraw();
  })(layer);
  addEventListener('resize', redraw);

  function enter(next: typeof mode, text: string): void {
    mode = next;
    state.textContent = text;
    const idle = step === null ? 'Train' : 'Train again';
    start.textContent = { idle, starting: 'Starting', training: 'Pause', paused: 'Resume', evaluating: 'Evaluating' }[
      mode
    ];
    start.disabled = mode === 'starting' || mode === 'evaluating';
    restart.hidden = mode !== 'paused';
    steps.disabled = mode !== 'idle';
    save.disabled = exportModel.disabled = step === null || mode === 'evaluating';
  }

  async function train(): Promise<void> {
    total = Math.max(10, Math.round(steps.valueAsNumber) || 0);
    steps.value = String(total);
    times = [];
    step = 0;
    chart.clear(total);
    element('precision').hidden = true;
    for (const id of ['rate', 'left', 'loss', 'map']) element(id).textContent = '–';
    showStep(0, 0);
    enter('starting', 'The first step compiles the shaders.');
    try {
      const report = await session.train(total);
      if (report) finish(report);
      else enter('idle', 'Stopped.');
    } catch (error) {
      enter('idle', '');
      throw error;
    }
  }

  start.onclick = ({ detail }) =>
    attempt(async () => {
      if (detail > 1) return; // the second click of a double click would pause what the first has begun
      if (mode === 'idle') return train();
      if (mode === 'training') {
        await session.pause('trained');
        return enter('paused', 'Paused.');
      }
      await session.resume('trained');
      times = []; // a pause must not count as time of a step
      enter('training', '');
    });

  restart.onclick = () => attempt(() => session.abandon('trained'));

  save.onclick = () =>
    attempt(async () => {
      const { config, checkpoint } = await session.save('trained');
      download('config.json', config);
      download('checkpoint.safetensors', checkpoint);
    });

  exportModel.onclick = () => attempt(async () => download('detector.onnx', await session.exportOnnx('trained')));

  function showStep(done: number, seconds: number): void {
    step = done;
    times.push({ step: done, seconds });
    if (times.length > WINDOW) times.shift();
    const [first, last] = [times[0]!, times.at(-1)!];
    const rate = (last.step - first.step) / (last.seconds - first.seconds);
    element('step').textContent = String(done);
    element('progress').style.width = `${(100 * done) / total}%`;
    if (!(rate > 0)) return;
    element('rate').textContent = rate.toPrecision(3);
    element('left').textContent = duration((total - done) / rate);
  }

  function finish(report: EvaluationReport): void {
    enter('idle', `Done: mean average precision on ${report.images} test scenes.`);
    showPrecision(report);
  }

  function showPrecision({ mAP, ap }: Pick<EvaluationReport, 'mAP' | 'ap'>): void {
    element('map').textContent = mAP.toFixed(3);
    const table = element<HTMLTableElement>('precision');
    table.tBodies[0]?.remove();
    const names = Object.keys(ap);
    table.append(
      make(
        'tbody',
        {},
        make('tr', {}, ...names.map((name) => make('th', { textContent: name, scope: 'col' }))),
        make('tr', {}, ...names.map((name) => make('td', { textContent: ap[name]?.toFixed(2) ?? '–' }))),
      ),
    );
    table.hidden = false;
  }

  return {
    enable: () => enter('idle', 'Ready.'),
    replay({ adapter, steps: done, seconds, losses, scenes: found, report }) {
      start.disabled = true;
      state.textContent = `A recorded run: ${done} steps in ${duration(seconds)} on ${adapter}, evaluated on ${report.images} test scenes.`;
      chart.clear(done);
      chart.draw(losses);
      element('step').textContent = String(done);
      element('rate').textContent = (done / seconds).toPrecision(3);
      element('left').textContent = duration(0);
      element('loss').textContent = losses.at(-1)!.loss.toFixed(2);
      element('progress').style.width = '100%';
      showPrecision(report);
      scenes.forEach((scene, i) => (scene.found = found[i]));
      redraw();
    },
    get step() {
      return step;
    },
    listen(event) {
      if ('of' in event && event.of !== 'trained') return;
      if (event.kind === 'begun') {
        enter('training', state.textContent!);
      } else if (event.kind === 'step' && step !== null) {
        if (mode === 'training') state.textContent = '';
        showStep(event.step, event.seconds);
        if (event.step === total) enter('evaluating', 'Evaluating on test scenes.');
      } else if (event.kind === 'losses') {
        chart.add(event.line);
        element('loss').textContent = event.line.loss.toFixed(2);
      } else if (event.kind === 'found') {
        event.scenes.forEach((found, i) => (scenes[i]!.found = found));
        redraw();
      } else if (event.kind === 'evaluated') {
        state.textContent = `Evaluating: test scene ${event.done} of ${event.total}.`;
      }
    },
  };
}
