/**
 * One tree's part of against.ts: the median milliseconds of a step with the modules of the tree that is given. It calls nothing
 * that trees of old do not have.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const WARM_UP = 60;
const STEPS = 60;
const SCENES = 8;

const tree = process.argv[2]!;
const load = (module: string) => import(pathToFileURL(join(tree, 'src', module)).href);
const { openGpu, Sgd }: typeof import('../src/node.ts') & typeof import('../src/index.ts') = {
  ...(await load('index.ts')),
  ...(await load('node.ts')),
};
const { configureRun }: typeof import('../src/run/config/runConfig.ts') = await load('run/config/runConfig.ts');
const { FasterRcnn }: typeof import('../src/model/fasterRcnn.ts') = await load('model/fasterRcnn.ts');

const gpu = await openGpu();
const { config, dataset } = await configureRun({ preset: 'digits' });
const model = new FasterRcnn(gpu, config.detector, 1);
const optimizer = new Sgd(Object.values(model.parameters), config.training);
const scenes = await Promise.all(
  dataset.samples.slice(0, SCENES).map(async (sample) => ({ boxes: sample.boxes, pixels: await sample.load() })),
);

function step(seed: number): void {
  const { boxes, pixels } = scenes[seed % SCENES]!;
  optimizer.zeroGrad();
  gpu.scope(() => {
    const image = model.prepare(pixels);
    const losses = model.losses(image, model.truth(boxes, image), { random: true, seed });
    model.total(losses).backward({ free: true });
  });
  optimizer.step(1);
}

const times: number[] = [];
for (let i = 0; i < WARM_UP + STEPS; i++) {
  const start = performance.now();
  step(i);
  await gpu.finish();
  if (i >= WARM_UP) times.push(performance.now() - start);
}
console.log(times.sort((a, b) => a - b)[STEPS >> 1]!);
gpu.close();
