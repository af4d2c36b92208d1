/** Training on the labels: from what, for how long, and how it goes. */
import { attempt, duration, element, segments } from '../dom.ts';
import type { LabelledNetwork } from '../labelledNetwork.ts';
import { LossChart } from '../lossChart.ts';
import type { RemoteSession } from '../remote.ts';
import type { LabelTask, SessionEvent, Start } from '../session.ts';

const STARTS: Readonly<Record<Start, string>> = {
  labelled: 'What it has learned',
  digits: "The digits' network",
  nothing: 'Nothing',
  files: 'A file',
};
/** The rate is measured over this many steps. */
const WINDOW = 30;

/** What the panel needs of the Label part. */
export interface TrainPanelHost {
  /** What there is to train on. */
  labels(): Promise<Pick<LabelTask, 'classes' | 'pictures'>>;
  began(): void;
  /** A training is over, for whatever reason. */
  ended(): void;
}

export interface TrainPanel {
  /** Allows training, once there is a device. */
  enable(): void;
  /** The device is lost or was never there: says why nothing trains. */
  disable(why: string): void;
  /** Shows whether training can begin: `obstacle` says what it needs first, `ready` what it trains on. */
  update(state: { obstacle: string } | { ready: string }): void;
  listen(event: SessionEvent): void;
}

export function startTrainPanel(session: RemoteSession, network: LabelledNetwork, host: TrainPanelHost): TrainPanel {
  const chart = new LossChart(
    element<HTMLCanvasElement>('label-losses'),
    element('label-terms'),
    'The losses appear here once it trains.',
  );
  const button = element<HTMLButtonElement>('label-start');
  const stop = element<HTMLButtonElement>('label-stop');
  const stepsField = element<HTMLInputElement>('label-steps');
  const mirror = element<HTMLInputElement>('mirror');
  const state = element('label-training');
  const figures = element('label-figures');
  const progress = element('label-progress');
  let mode: 'idle' | 'starting' | 'training' | 'paused' = 'idle';
  let noDevice: string | undefined = 'Waiting for the GPU.';
  let labels: { obstacle?: string; ready?: string } = {};
  let done = '';
  let start: Start = 'digits';
  let files: File[] = [];
  let total = 0;
  let times: { step: number; seconds: number }[] = [];
  let loss = '';

  const choose = segments('start-from', STARTS, (choice) => {
    start = choice;
    element('choose-start').hidden = choice !== 'files';
    show();
  });
  const startFiles = element<HTMLInputElement>('start-files');
  startFiles.onchange = () => {
    files = [...startFiles.files!];
    show();
  };

  function show(): void {
    const needsFile = start === 'files' && files.length === 0 ? 'Choose a file to start from.' : undefined;
    const obstacle = noDevice ?? labels.obstacle ?? needsFile;
    const idle = network.run ? 'Train again' : 'Train';
    button.textContent = { idle, starting: 'Starting', training: 'Pause', paused: 'Resume' }[mode];
    button.disabled = mode === 'starting' || (mode === 'idle' && obstacle !== undefined);
    stop.hidden = mode === 'idle' || mode === 'starting';
    for (const control of document.querySelectorAll<HTMLInputElement>('#label-steps, #mirror, #start-from button')) {
      control.disabled = mode !== 'idle';
    }
    const known = document.querySelector<HTMLButtonElement>('#start-from [data-choice=labelled]')!;
    known.disabled ||= !network.run;
    if (mode === 'idle') {
      const chosen =
        start === 'files' && files.length > 0 ? `Starts from ${files.map(({ name }) => name).join(', ')}.` : '';
      state.textContent = obstacle ?? (done || chosen || (labels.ready ?? ''));
    }
  }

  async function train(): Promise<void> {
    total = Math.max(10, Math.round(stepsField.valueAsNumber) || 0);
    stepsField.value = String(total);
    times = [];
    loss = '';
    figures.textContent = '';
    progress.style.width = '0';
    chart.clear(total);
    mode = 'starting';
    state.textContent = 'The first step compiles the shaders.';
    show();
    host.began();
    try {
      const labels = await host.labels();
      const finished = await session.trainOnLabels({ ...labels, start, files, steps: total, flip: mirror.checked });
      done = finished ? 'Done: open a picture and see what it proposes.' : 'Stopped; what it learned is kept.';
      mode = 'idle';
      choose('labelled');
    } finally {
      mode = 'idle';
      show();
      host.ended();
    }
  }

  button.onclick = ({ detail }) =>
    attempt(async () => {
      if (detail > 1) return; // the second click of a double click would pause what the first has begun
      if (mode === 'idle') return train();
      if (mode === 'training') {
        await session.pause('labelled');
        mode = 'paused';
        state.textContent = 'Paused.';
      } else {
        await session.resume('labelled');
        times = []; // a pause must not count as time of a step
        mode = 'training';
        state.textContent = 'Training.';
      }
      show();
    });
  stop.onclick = () => attempt(() => session.abandon('labelled'));

  network.listen({
    changed() {
      if (mode === 'idle' && network.run) choose('labelled');
      else if (start === 'labelled' && !network.run) choose('digits');
      else show();
    },
  });
  choose('digits');

  return {
    enable() {
      noDevice = undefined;
      show();
    },
    disable(why) {
      noDevice = why;
      mode = 'idle';
      show();
    },
    update(state) {
      labels = state;
      show();
    },
    listen(event) {
      if (!('of' in event) || event.of !== 'labelled') return;
      if (event.kind === 'begun') {
        mode = 'training';
        return show();
      }
      if (event.kind === 'losses') {
        chart.add(event.line);
        loss = `, loss ${event.line.loss.toFixed(2)}`;
        return;
      }
      if (event.step === 1 && mode === 'training') state.textContent = 'Training.';
      times.push({ step: event.step, seconds: event.seconds });
      if (times.length > WINDOW) times.shift();
      const [first, last] = [times[0]!, times.at(-1)!];
      const rate = (last.step - first.step) / (last.seconds - first.seconds);
      progress.style.width = `${(100 * event.step) / total}%`;
      const pace = rate > 0 ? `, ${rate.toPrecision(3)} images/s, ${duration((total - event.step) / rate)} left` : '';
      figures.textContent = `Step ${event.step} of ${total}${pace}${loss}`;
    },
  };
}
