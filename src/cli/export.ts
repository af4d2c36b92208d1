/** `rcnn export`: writes a trained network as an ONNX model. */
import type { Command } from 'commander';
import { replaceFile } from '../engine/node/writeFile.ts';
import { exportOnnx } from '../onnx/exportDetector.ts';
import { loadModel, type WeightsName } from '../run/storage/loadModel.ts';
import {
  type AdapterKind,
  adapterOption,
  classesOption,
  fileClasses,
  trainedOption,
  weightsOption,
  withGpu,
} from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { VERSION } from './version.ts';

interface ExportCommand {
  model: string;
  weights: WeightsName;
  classes?: string;
  out: string;
  adapter: AdapterKind;
}

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .description(
      'Write a trained network as an ONNX model: from the pixels of an image to boxes, scores and labels, with standard operators.',
    )
    .addOption(trainedOption())
    .addOption(weightsOption())
    .addOption(classesOption())
    .requiredOption('--out <file>', 'the ONNX file')
    .addOption(adapterOption())
    .action(run);
  withExample(
    command,
    'rcnn export --model runs/mine --out mine.onnx',
    'rcnn export --model fasterrcnn_resnet50_fpn_coco.pth --out coco.onnx',
  );
}

async function run({ model, weights, classes, out, adapter }: ExportCommand): Promise<void> {
  assertOutputs([out], { model });
  const classNames = fileClasses({ model, classes });
  await withGpu(adapter, async (gpu) => {
    const detector = await loadModel(gpu, model, undefined, weights, classNames);
    const bytes = await exportOnnx(detector, { version: VERSION });
    replaceFile(out, bytes);
    console.log(`${out}: ${(bytes.length / 1e6).toFixed(1)} MB, ONNX opset 17`);
    console.log('input   image   uint8 [height, width, 3], R, G, B, of any size');
    console.log('outputs boxes   float [objects, 4]: x1, y1, x2, y2 in pixels of the image');
    console.log('        scores  float [objects]');
    console.log(`        labels  int64 [objects]: ${labels(detector.config.classes)}`);
  });
}

/** '1 cat, 2 dog', shortened where there are many. */
function labels(classes: readonly string[]): string {
  const named = classes.map((name, i) => `${i} ${name}`).slice(1);
  return named.length <= 6 ? named.join(', ') : `${named.slice(0, 3).join(', ')}, ..., ${named.at(-1)}`;
}
