/** What testBrowser.ts runs in a page: the library on the page's own device, with an image from a canvas and no files. */
import {
  detectImage,
  type DetectorConfig,
  FasterRcnn,
  type Gpu,
  HEAD_DEFAULTS,
  type LabelledBox,
  parseSafetensors,
  type DecodedImage,
  requestGpu,
  restoreCheckpoint,
  RPN_DEFAULTS,
  serializeCheckpoint,
  Sgd,
  TEST_DEFAULTS,
} from '../src/index.ts';
import { iou } from '../src/kernels/boxes.ts';

const SIDE = 96;
const CLASSES = ['__background__', 'square', 'disc'];
const OBJECTS: readonly LabelledBox[] = [
  { x1: 10, y1: 14, x2: 41, y2: 45, classIndex: 1 },
  { x1: 52, y1: 48, x2: 83, y2: 79, classIndex: 2 },
];

const PROPOSALS = { preNms: 100, postNms: 32, without: 'nothing' } as const;
const CONFIG: DetectorConfig = {
  convention: 'py-faster-rcnn',
  stages: 2,
  features: 'shared',
  backbone: 'small',
  classes: CLASSES,
  input: {
    shorterSide: SIDE,
    longerSide: SIDE,
    channels: 'rgb',
    mean: [110, 110, 110],
    factor: [1 / 64, 1 / 64, 1 / 64],
  },
  anchors: { sizes: [24, 40], ratios: [1] },
  rpn: { ...RPN_DEFAULTS, channels: 16, batch: 32, train: PROPOSALS, test: PROPOSALS },
  head: { ...HEAD_DEFAULTS, pooled: 3, batch: 16, foregroundFraction: 0.5 },
  test: TEST_DEFAULTS,
  frozenStages: 0,
};
const SEED = 1;
const STEPS = 60;

let gpu: Gpu;
let trained: FasterRcnn;

/** Opens the device. Returns the adapter's name, or null if the browser has none. */
export async function open(): Promise<string | null> {
  if (!(await navigator.gpu?.requestAdapter())) return null;
  gpu = await requestGpu();
  return gpu.adapter.description;
}

/** Each test returns what it found, or throws; a later one may build on what an earlier one made. */
export const tests: Readonly<Record<string, () => Promise<string>>> = {
  'joint training, twice with one seed': async () => {
    const scene = paintScene();
    const first = await train(scene);
    trained = first.model;
    const second = await train(scene);
    const differing = first.bits.findIndex((word, i) => word !== second.bits[i]);
    if (differing >= 0 || first.bits.length !== second.bits.length) throw new Error('the two runs differ');
    const start = first.losses[0]!;
    const end = first.losses.slice(-10).reduce((sum, loss) => sum + loss / 10, 0);
    if (!(end < start / 4)) throw new Error(`the loss went from ${start} to ${end}`);
    return `the loss fell from ${start.toFixed(2)} to ${end.toFixed(2)} in ${STEPS} steps, both times with the same bits`;
  },

  'detection, with the weights from a checkpoint': async () => {
    const file = await serializeCheckpoint(trained, undefined, { step: STEPS, seconds: 0, dataSeconds: 0 });
    const model = new FasterRcnn(gpu, CONFIG, SEED + 1);
    await restoreCheckpoint(parseSafetensors(file, 'weights'), 'weights', model);

    const detections = await detectImage(model, paintScene());
    const seen = JSON.stringify(detections);
    if (seen !== JSON.stringify(await detectImage(trained, paintScene())))
      throw new Error('the copy detects something else');
    const overlaps = OBJECTS.map((object) => {
      const found = detections.find(({ classIndex }) => classIndex === object.classIndex);
      const overlap = found ? iou(corners(found), corners(object), 1) : 0;
      if (!(overlap > 0.5)) throw new Error(`no ${CLASSES[object.classIndex]} at its place: ${seen}`);
      return `${CLASSES[object.classIndex]} (IoU ${overlap.toFixed(2)})`;
    });
    return `found ${overlaps.join(' and ')}`;
  },
};

/** Trains on one image. Returns the losses, the model, and the bits of all losses and weights. */
async function train(scene: DecodedImage): Promise<{ losses: number[]; model: FasterRcnn; bits: Uint32Array }> {
  const model = new FasterRcnn(gpu, CONFIG, SEED);
  const optimizer = new Sgd(Object.values(model.parameters), {
    learningRate: 0.01,
    momentum: 0.9,
    weightDecay: 0.0005,
  });
  const losses: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    optimizer.zeroGrad();
    const total = gpu.scope(() => {
      const image = model.prepare(scene);
      const total = model.total(model.losses(image, model.truth(OBJECTS, image), { random: true, seed: step }));
      total.backward({ free: true });
      return total;
    });
    optimizer.step();
    losses.push((await total.read())[0]!);
    total.dispose();
  }
  const values = [Float32Array.from(losses)];
  for (const parameter of Object.values(model.parameters))
    values.push((await parameter.read()) as Float32Array<ArrayBuffer>);
  return { losses, model, bits: new Uint32Array(await new Blob(values).arrayBuffer()) };
}

/** Paints the objects on a gradient of greys. */
function paintScene(): DecodedImage {
  const context = new OffscreenCanvas(SIDE, SIDE).getContext('2d')!;
  const slope = context.createLinearGradient(0, 0, SIDE, SIDE);
  slope.addColorStop(0, '#555');
  slope.addColorStop(1, '#aaa');
  context.fillStyle = slope;
  context.fillRect(0, 0, SIDE, SIDE);
  for (const { x1, y1, x2, y2, classIndex } of OBJECTS) {
    const [width, height] = [x2 - x1 + 1, y2 - y1 + 1];
    context.beginPath();
    if (CLASSES[classIndex] === 'square') context.rect(x1, y1, width, height);
    else context.arc(x1 + width / 2, y1 + height / 2, width / 2, 0, 2 * Math.PI);
    context.fillStyle = CLASSES[classIndex] === 'square' ? '#e33' : '#36e';
    context.fill();
  }
  return { width: SIDE, height: SIDE, rgba: context.getImageData(0, 0, SIDE, SIDE).data };
}

const corners = ({ x1, y1, x2, y2 }: Omit<LabelledBox, 'classIndex'>) => [x1, y1, x2, y2] as const;
