/** The Detect part: runs the weights just trained, or those of a run's files, on scenes, drawings, image files and the camera. */
import { type DecodedImage, type StagedDetection, STAGES } from '../src/index.ts';
import { draw, type Layer, LAYERS, type View } from './boxes.ts';
import { attempt, element, make, segments, showTrouble } from './dom.ts';
import { drawingBoard } from './drawingBoard.ts';
import { bitmap, decode, pixels } from './pictures.ts';
import { openCamera } from './label/camera.ts';
import type { LabelledNetwork } from './labelledNetwork.ts';
import type { RemoteSession } from './remote.ts';
import type { LoadedRun, WeightsSource } from './session.ts';
import type { TrainPart } from './train.ts';

type Source = 'scene' | 'drawing' | 'pictures' | 'camera';
const SOURCES: Readonly<Record<Source, string>> = {
  scene: 'Test scene',
  drawing: 'Draw digits',
  pictures: 'Pictures',
  camera: 'Camera',
};
/** The stages of the paper's table 5, and their colours in style.css. */
const PARTS = {
  image: ['image', '--line-strong'],
  conv: ['convolutions', '--rpn-cls'],
  proposal: ['proposals', '--head-box'],
  region: ['regions', '--head-cls'],
} as const satisfies Record<(typeof STAGES)[number], readonly [string, string]>;

/** Files that can be loaded, in words, and the names of those with weights. */
const LOADABLE =
  'the two files of a run (config.json, checkpoint.safetensors) or the one file of a published detector (.pth, .pkl, .safetensors)';
const WEIGHTS = /\.(safetensors|pth?|pkl)$/i;

/** A detection that takes longer, in milliseconds, is announced. */
const SLOW = 400;

/** An image in the page, and what was found in it. */
interface Result {
  /** What the image is, in words. */
  name: string;
  canvas: HTMLCanvasElement;
  picture: View['picture'];
  found?: StagedDetection;
}

export function startDetect(
  session: RemoteSession,
  trained: { classes: string[] },
  training: TrainPart,
  labelled: LabelledNetwork,
): void {
  const results = element('results');
  const tools = element('tools');
  let weights: WeightsSource = 'trained';
  let loaded: LoadedRun | undefined;
  let layer: Layer = 'detections';
  let shown: Result[] = [];
  /** Stops what the current source does on its own, such as reading the camera. */
  let leave = (): void => {};
  let again = (): void => {};

  const threshold = element<HTMLInputElement>('threshold');
  /** What the files or the labels gave, if those weights are chosen. */
  const network = (): LoadedRun | undefined => (weights === 'labelled' ? labelled.run : loaded);
  const classes = (): readonly string[] => (weights === 'trained' ? undefined : network()?.classes) ?? trained.classes;
  const redraw = (): void => {
    for (const { name, canvas, picture, found } of shown) {
      const view = { name, picture, classes: classes(), layer, threshold: threshold.valueAsNumber };
      draw(canvas, { ...view, ...(found && { found }) });
    }
    describe(shown.at(-1)?.found);
  };

  /** Whether there are weights to detect with; if not, says what to do. */
  const ready = (): boolean => {
    const there = weights === 'trained' ? training.step !== null : network() !== undefined;
    element('weights-facts').textContent = weightsFacts(weights, training.step, network());
    return there;
  };

  async function detect(result: Result, picture: DecodedImage): Promise<void> {
    if (!ready()) return redraw();
    const by = weights;
    const state = element('detect-state');
    const soon = setTimeout(() => {
      state.textContent = `Detecting: ${result.name}. The first picture of a size takes longer: its shaders are compiled.`;
    }, SLOW);
    const found = await session.detect(by, picture).finally(() => {
      clearTimeout(soon);
      state.textContent = '';
    });
    if (by !== weights) return; // others were chosen meanwhile
    result.found = found;
    ready();
    redraw();
  }

  /** Shows an image alone, or beside those that are already shown. */
  function place(name: string, picture: View['picture'], beside = false): Result {
    const result: Result = { name, canvas: make('canvas'), picture };
    if (!beside) {
      results.replaceChildren();
      shown = [];
    }
    results.append(result.canvas);
    shown.push(result);
    results.classList.toggle('many', shown.length > 1);
    redraw();
    return result;
  }

  function describe(found: StagedDetection | undefined): void {
    const least = threshold.valueAsNumber;
    element('outcome').hidden = found === undefined;
    const sure = found?.detections.filter(({ score }) => score >= least) ?? [];
    element('found').replaceChildren(
      ...sure.map(({ classIndex, score }) =>
        make(
          'li',
          {},
          make('span', { textContent: classes()[classIndex]! }),
          make('b', { textContent: score.toFixed(2) }),
        ),
      ),
    );
    if (!found) return;
    const { milliseconds } = found;
    const total = STAGES.reduce((sum, stage) => sum + milliseconds[stage], 0);
    const bar = make('div', { className: 'bar' });
    const legend = make('ul', { className: 'legend' });
    for (const stage of STAGES) {
      const [name, colour] = PARTS[stage];
      const piece = make('div', { title: name });
      piece.style.cssText = `flex-grow: ${milliseconds[stage]}; background: var(${colour})`;
      bar.append(piece);
      const swatch = make('i');
      swatch.style.background = `var(${colour})`;
      legend.append(make('li', {}, swatch, name, make('b', { textContent: `${milliseconds[stage].toFixed(1)} ms` })));
    }
    const sum = `${total.toFixed(1)} ms in all, ${(1000 / total).toPrecision(3)} images/s. Each part is timed until the device is done.`;
    element('times').replaceChildren(bar, legend, make('p', { className: 'quiet', textContent: sum }));
  }

  async function showScene(number: number): Promise<void> {
    const picture = await session.testScene(number);
    await detect(place(`Test scene ${number + 1}`, bitmap(picture)), picture);
  }

  async function showFiles(files: readonly File[]): Promise<void> {
    results.replaceChildren();
    const own: Result[] = (shown = []);
    for (const file of files) {
      const picture = await decode(file, file.name);
      if (shown !== own) return; // others were chosen meanwhile
      await detect(place(file.name, picture, true), pixels(picture));
    }
  }

  const sources: Readonly<Record<Source, () => void>> = {
    scene() {
      let number = 0;
      const show = () => attempt(() => showScene(number));
      again = show;
      tools.append(make('button', { textContent: 'Another scene', onclick: () => (number++, show()) }));
      void show();
    },
    drawing() {
      const board = drawingBoard();
      const result = place('Board to draw digits on', board.canvas);
      let [looking, changed] = [false, false];
      const look = () =>
        attempt(async () => {
          redraw();
          changed = true;
          if (looking) return; // the detection that is running will be followed by another
          looking = true;
          try {
            while (changed) {
              changed = false;
              await detect(result, pixels(board.canvas));
            }
          } finally {
            looking = false;
          }
        });
      again = look;
      board.listen(result.canvas, look);
      tools.append(
        make('button', { textContent: 'Clear', onclick: () => (board.clear(), look()) }),
        make('span', { className: 'quiet', textContent: 'Draw some digits on the board.' }),
      );
      void look();
    },
    pictures() {
      let files: readonly File[] = [];
      const show = () => attempt(() => showFiles(files));
      again = show;
      const input = make('input', { type: 'file', accept: 'image/*', multiple: true });
      input.onchange = () => ((files = [...input.files!]), show());
      const label = make('label', { className: 'button' }, 'Choose images', input);
      tools.append(label, make('span', { className: 'quiet', textContent: 'or drop them anywhere on this page.' }));
      results.replaceChildren();
      shown = [];
      dropped = (pictures) => ((files = pictures), show());
    },
    camera() {
      let stream: MediaStream | undefined;
      let left = false;
      const stop = make('button', { textContent: 'Stop', onclick: () => leave() });
      tools.append(stop);
      results.replaceChildren();
      shown = [];
      leave = () => {
        left = true;
        stream?.getTracks().forEach((track) => track.stop());
        stream = undefined;
        stop.disabled = true;
      };
      void attempt(async () => {
        stream = await openCamera();
        if (left) return leave(); // while the browser asked whether the page may use it
        const video = make('video', { srcObject: stream, muted: true, playsInline: true });
        await video.play();
        let result: Result | undefined;
        while (stream?.active) {
          const frame = await createImageBitmap(video);
          if (left) return;
          result ??= place("The camera's picture", frame);
          result.picture = frame;
          await detect(result, pixels(frame));
          await new Promise(requestAnimationFrame);
        }
      });
    },
  };
  let dropped = (_files: readonly File[]): void => {};

  const chooseSource = segments('source', SOURCES, (choice) => {
    leave();
    [leave, again, dropped] = [() => {}, () => {}, (files) => (chooseSource('pictures'), dropped(files))];
    tools.replaceChildren();
    sources[choice]();
  });
  segments('detect-layer', LAYERS, (choice) => ((layer = choice), redraw()))(layer);
  const names = { trained: 'Trained here', labelled: 'From labels', loaded: 'From files' };
  const chooseWeights = segments<WeightsSource>('weights', names, (choice) => {
    weights = choice;
    element('choose-run').hidden = choice !== 'loaded';
    for (const result of shown) delete result.found;
    redraw();
    ready();
    again();
  });

  /** Loads the two files of a run, given in any order, or one file of published weights; other files are ignored. */
  const loadFiles = (files: readonly File[]): Promise<void> =>
    attempt(async () => {
      const config = files.find(({ name }) => /\.json$/i.test(name));
      const weights = files.find((file) => file !== config && WEIGHTS.test(file.name));
      if (!weights) throw new Error(`Choose ${LOADABLE}.`);
      element('weights-facts').textContent = `Reading ${weights.name}.`;
      try {
        loaded = config
          ? await session.load(await config.text(), new Uint8Array(await weights.arrayBuffer()))
          : await session.loadWeights(weights);
      } finally {
        ready();
      }
      chooseWeights('loaded');
    });
  const runFiles = element<HTMLInputElement>('run-files');
  runFiles.onchange = async () => {
    await loadFiles([...runFiles.files!]);
    runFiles.value = ''; // the same files may be chosen again
  };

  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    if (location.hash === '#label') return; // they are to be labelled
    const files = [...event.dataTransfer!.files];
    if (files.length === 0) return;
    location.hash = '#detect';
    const pictures = files.filter(({ type }) => type.startsWith('image/'));
    if (pictures.length > 0) dropped(pictures);
    else if (files.some(({ name }) => /\.json$/i.test(name) || WEIGHTS.test(name))) void loadFiles(files);
    else showTrouble(`Drop images, ${LOADABLE}.`);
  });
  threshold.oninput = () => {
    element('threshold-value').textContent = threshold.valueAsNumber.toFixed(2);
    redraw();
  };
  addEventListener('resize', redraw);
  // A training that went on meanwhile may find more now.
  addEventListener('hashchange', () => (location.hash === '#detect' ? again() : leave()));
  labelled.listen({
    changed() {
      if (weights !== 'labelled') return;
      for (const result of shown) delete result.found;
      if (location.hash === '#detect') again(); // otherwise once this part is shown
    },
    used() {
      chooseWeights('labelled');
      chooseSource('pictures');
    },
  });
  chooseWeights('trained');
  chooseSource('scene');
}

function weightsFacts(weights: WeightsSource, step: number | null, loaded: LoadedRun | undefined): string {
  if (weights === 'trained') {
    return step === null
      ? 'Nothing is trained yet: start a training, or choose the files of a run.'
      : `These weights are from step ${step} of the training.`;
  }
  if (!loaded && weights === 'labelled')
    return 'Nothing is trained on labels yet: draw some in the Label part, and train.';
  if (!loaded) return `Choose ${LOADABLE}, or drop them on this page.`;
  const { classes, backbone, parameters } = loaded;
  const named = classes.slice(1);
  return `backbone ${backbone}, ${(parameters / 1e6).toFixed(1)} million parameters, ${named.length} classes: ${named.join(', ')}.`;
}
