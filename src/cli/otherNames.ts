/** Options of other programs for detection, and what they are called here. */
import type { Command } from 'commander';

/** Names without dashes, and what to use in their place: the first of these that the command has, as an option or with `--set`. */
export const OTHER_NAMES: readonly (readonly [names: readonly string[], here: readonly string[]])[] = [
  [['epochs', 'epoch', 'max-iter', 'iterations', 'iters'], ['--steps']],
  [
    ['batch-size', 'batch', 'ims-per-batch'],
    ['--batch', '--set training.imagesPerStep=N'],
  ],
  [['lr', 'lr0', 'base-lr'], ['--learning-rate']],
  [
    ['imgsz', 'img-size', 'image-size', 'img'],
    ['--size', '--set detector.input.shorterSide=N'],
  ],
  [['optimizer', 'momentum', 'weight-decay', 'warmup'], ['--set training.NAME=VALUE']],
  [['pretrained', 'weights', 'finetune'], ['--init']],
  [
    ['arch', 'network', 'model'],
    ['--backbone', '--model'],
  ],
  [
    ['config', 'cfg', 'config-file'],
    ['--preset', '--set PATH=VALUE'],
  ],
  [['device', 'gpu', 'gpus'], ['--adapter']],
  [['conf', 'conf-thres', 'confidence', 'score-threshold', 'score-thr'], ['--threshold']],
  [['iou', 'iou-thres', 'nms'], ['--set detector.test.nmsThreshold=X']],
  [['max-det'], ['--set detector.test.maxDetections=N']],
  [['output', 'output-dir', 'project', 'name', 'save-dir', 'work-dir'], ['--out']],
  [['dataset', 'dataset-path', 'data-dir', 'data-path'], ['--data']],
  [['checkpoint', 'run'], ['--model']],
  [['half', 'fp16', 'amp'], ['--precision f16']],
  [['format'], ['--to']],
  [['val', 'eval'], ['--validate']],
];

/** What `option`, which the command does not have, is called here, if other programs have an option of this name. */
export function nameHere(command: Command, option: string): string | undefined {
  const name = option.replace(/^-+/, '').replaceAll('_', '-').toLowerCase();
  const has = (long: string): boolean => command.options.some((known) => known.long === long);
  const here = OTHER_NAMES.find(([names]) => names.includes(name))?.[1];
  return here?.find((usage) => has(usage.split(' ')[0]!))?.replace('training.NAME', `training.${camelCase(name)}`);
}

const camelCase = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
