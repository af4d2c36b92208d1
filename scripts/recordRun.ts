/**
 * Records the page's training of digits, here in Node, for web/recorded: what a page without WebGPU shows, and the weights from
 * which a training on one's own pictures can start. It takes a few minutes on two CPU cores.
 *
 *   npx tsx scripts/recordRun.ts
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { wholeParameters, writeWhole, readWhole } from '../src/engine/shards.ts';
import { detectInStages, evaluate, makeDetector, PRESETS, serializeCheckpoint, trainDetector } from '../src/index.ts';
import { openGpu } from '../src/node.ts';
import { digitScenes, digitsRun, SHOWN } from '../web/digitsRun.ts';
import { packedDigits } from './buildWeb.ts';
import { root } from './shell.ts';

const gpu = await openGpu();
const [train, test] = [digitScenes(packedDigits(), 'train'), digitScenes(packedDigits(), 'test')];
const config = digitsRun(train.classes, PRESETS['demo']!.training.steps);
const model = makeDetector(gpu, config.detector, config.training.seed);

const losses: unknown[] = [];
const progress = await trainDetector({
  model,
  dataset: train,
  training: config.training,
  onMetrics: ({ step, loss, rpn_cls, rpn_box, head_cls, head_box }) => {
    losses.push([step, ...[loss, rpn_cls, rpn_box, head_cls, head_box].map((value) => rounded(value, 3))]);
    if (step % 500 === 0) console.log(`step ${step}: loss ${loss.toFixed(2)}`);
  },
});
await gpu.finish();
console.log(`mAP ${(await evaluate(model, test, 'voc10')).report.mAP.toFixed(3)}`);

// The upper half of each number, bfloat16, is enough to detect with, and its file is half as large.
for (const whole of Object.values(wholeParameters(model.parameters))) {
  const bits = new Uint32Array((await readWhole(whole)).slice().buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i]! + 0x7fff + ((bits[i]! >> 16) & 1)) & 0xffff0000;
  writeWhole(whole, new Float32Array(bits.buffer));
}
const { mAP, ap, images } = (await evaluate(model, test, 'voc10')).report;
console.log(`mAP ${mAP.toFixed(3)} with the weights rounded`);

const scenes = [];
for (const sample of test.samples.slice(0, SHOWN)) {
  const { detections, proposals, milliseconds } = await detectInStages(model, await sample.load());
  const tidy = <T extends object>(one: T): T =>
    Object.fromEntries(Object.entries(one).map(([name, value]) => [name, rounded(value as number, 2)])) as T;
  const sure = detections.filter(({ score }) => score >= 0.05).map(tidy);
  scenes.push({ detections: sure, proposals: proposals.slice(0, 20).map(tidy), milliseconds });
}
const folder = path.join(root, 'web', 'recorded');
fs.mkdirSync(folder, { recursive: true });
const { step, seconds } = progress;
const run = { adapter: gpu.adapter.description, steps: step, seconds: Math.round(seconds), losses, scenes };
const report = { mAP: rounded(mAP, 3), ap, images };
fs.writeFileSync(path.join(folder, 'run.json'), `${JSON.stringify({ ...run, report })}\n`);
const checkpoint = await serializeCheckpoint(model, undefined, { ...progress, dataSeconds: 0 });
fs.writeFileSync(path.join(folder, 'digits.bin'), gzipSync(checkpoint, { level: 9 }));
for (const name of fs.readdirSync(folder)) console.log(`${name}: ${fs.statSync(path.join(folder, name)).size} bytes`);
gpu.close();

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
