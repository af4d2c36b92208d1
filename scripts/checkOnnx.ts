/**
 * Compares an exported model in ONNX Runtime with this engine, image by image, and their average precision:
 *
 *   npx tsx scripts/checkOnnx.ts RUN DATA --images 100 --split train
 *
 * onnxruntime-node of bench/peers (npm run bench:peers -- --list installs it), else onnxruntime-web; both on the CPU.
 */
import { createRequire } from 'node:module';
import { Command } from 'commander';
import * as Web from 'onnxruntime-web';
import { openDataset, usualSplit } from '../src/data/registry.ts';
import { openGpu } from '../src/engine/node/open.ts';
import type { Detection } from '../src/eval/voc.ts';
import { exportOnnx } from '../src/onnx/exportDetector.ts';
import { detectImage } from '../src/run/evaluation/detect.ts';
import { evaluateDetections } from '../src/run/evaluation/evaluate.ts';
import { loadModel } from '../src/run/storage/loadModel.ts';
import { agreeing, onnxDetector } from './onnxAgreement.ts';

const command = new Command('npx tsx scripts/checkOnnx.ts')
  .argument('<run>', 'a run, or the file of a published detector')
  .argument('<data>', 'images with their boxes')
  .option('--images <n>', 'the first n of them', Number, 100)
  .option('--split <name>', 'default: test, where the data has it')
  .parse();
const [run, data] = command.args as [string, string];
const { images, split } = command.opts<{ images: number; split?: string }>();
const gpu = await openGpu();
const model = await loadModel(gpu, run);
const bytes = await exportOnnx(model);
const { ort, name } = runtime();
const detect = await onnxDetector(ort, bytes);
const dataset = await openDataset(data, {
  split: split ?? usualSplit(data, 'test'),
  onBadBox: 'skip',
  classes: model.config.classes.slice(1),
});
const samples = dataset.samples.slice(0, images);
const found = { ours: [] as Detection[][], theirs: [] as Detection[][] };
let [same, agreed, total, most] = [0, 0, 0, 0];
for (const [i, sample] of samples.entries()) {
  const picture = await sample.load();
  const [ours, theirs] = [await detectImage(model, picture, i), await detect(picture)];
  found.ours.push(ours);
  found.theirs.push(theirs);
  const equal = agreeing(ours, theirs);
  agreed += equal;
  total += ours.length;
  most = Math.max(most, Math.abs(ours.length - theirs.length));
  if (equal === ours.length && equal === theirs.length) same++;
}
const mAP = (detections: Detection[][]): number =>
  evaluateDetections(detections, { ...dataset, samples }, 'voc07', performance.now()).mAP;
console.log(
  `${name}, ${(bytes.length / 1e6).toFixed(1)} MB: the same set of objects in ${same} of ${samples.length} images;`,
);
console.log(`${agreed} of ${total} objects agree; the numbers of objects differ by ${most} at most`);
console.log(`mAP (voc07) ${mAP(found.ours).toFixed(5)} here, ${mAP(found.theirs).toFixed(5)} there`);
gpu.close();

function runtime(): { ort: typeof Web; name: string } {
  const require = createRequire(new URL('../bench/peers/package.json', import.meta.url));
  try {
    return { ort: require('onnxruntime-node') as typeof Web, name: 'onnxruntime-node' };
  } catch {
    return { ort: Web, name: 'onnxruntime-web' };
  }
}
