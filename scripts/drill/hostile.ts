/**
 * Commands with hostile inputs: every path that a command takes is each hostile file in turn, every value one that it must not
 * be. Each command must end with exit code 1 and one line, without having written anything.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Commands, type Outcome } from './commands.ts';
import { type HostileFolder, writeHostileFolder } from './hostileFiles.ts';

export interface HostileCase {
  args: readonly string[];
  /** Whether the command may also succeed, as with a log in which no line is a record: the rest is expected all the same. */
  harmless?: boolean;
  /** Whether it opens the device before it finds what is wrong. */
  device?: boolean;
}

const DATA = ['--data', 'coco:good/coco'];
const MODEL = ['--model', 'good/run'];
const VOC = ['--data', 'voc:good/voc'];

/** Names at which there is nothing to read. */
const NOWHERE = ['nowhere', 'nowhere/deep/file', 'good/photo.png/file', '', ' ', 'x'.repeat(300), 'x/'.repeat(3000)];
/** Names at which no file can be written. */
const UNWRITABLE = [
  'good',
  'good/photo.png/file',
  '',
  'x'.repeat(300),
  'x/'.repeat(3000),
  '/proc/file',
  'hostile/loop',
];
/** Names at which no folder can be made, or files in it. */
const NO_FOLDER = ['good/photo.png', 'good/photo.png/folder', '', 'x'.repeat(300), '/proc/folder', 'hostile/loop'];

/** Commands that read a file or a folder at the end of their arguments. */
const READERS: readonly HostileCase[] = [
  { args: ['detect', ...MODEL], device: true },
  { args: ['detect', 'good/photo.png', '--model'] },
  { args: ['check', ...DATA, '--model'] },
  { args: ['check', '--data'] },
  { args: ['eval', ...DATA, '--model'] },
  { args: ['eval', ...MODEL, '--data'] },
  { args: ['eval', ...DATA, '--from'] },
  { args: ['recall', ...DATA, '--model'] },
  { args: ['recall', ...MODEL, '--data'] },
  { args: ['convert', '--to', 'coco', '--out', 'new', '--data'] },
  { args: ['train', '--out', 'new', '--data'] },
  { args: ['train', '--out', 'new', ...DATA, '--validate-data'] },
  { args: ['train', '--out', 'new', '--init'], device: true },
  { args: ['train', '--resume', '--out'] },
  { args: ['pretrain', '--out', 'new', '--data', 'folder:good/classes', '--init'], device: true },
  { args: ['pretrain', '--resume', '--out'] },
  { args: ['demo', '--resume', '--out'] },
  { args: ['bench', '--compare', 'good/found.json'] },
  { args: ['multibox', '--out', 'new', '--data'] },
  { args: ['multibox', '--out', 'new', ...DATA, '--init'], device: true },
  { args: ['proposals', '--method', 'selective-search', '--out', 'new', '--data'] },
  { args: ['proposals', '--method', 'edge-boxes', ...DATA, '--out', 'new', '--edges'] },
  { args: ['proposals', '--method', 'multibox', ...DATA, '--out', 'new', '--model'] },
  { args: ['compress', '--out', 'new', '--model'] },
  { args: ['export', '--out', 'new', '--model'] },
  { args: ['compare', 'good/run'] },
  { args: ['train', '--schedule', 'fast-rcnn', '--out', 'new', ...VOC, '--proposals'] },
  { args: ['eval', ...MODEL, ...VOC, '--proposals'] },
  { args: ['detect', ...MODEL, 'good/photo.png', '--proposals'] },
];

/** The same, with a prefix to the path. */
const PREFIXED: readonly (readonly [args: readonly string[], prefix: string])[] = [
  [['pretrain', '--out', 'new', '--data'], 'folder:'],
  [['recall', ...MODEL, ...VOC, '--proposals-file'], 'Other='],
  [['check', '--data'], 'coco:good/coco/images,'],
  ...['voc', 'coco', 'yolo', 'labelme', 'cvat', 'labelstudio', 'via', 'csv', 'digits'].map(
    (format) => [['check', '--data'], `${format}:`] as const,
  ),
];

/** Commands that write a file at the end of their arguments. */
const WRITERS: readonly (readonly string[])[] = [
  ['info', '--json'],
  ['check', ...DATA, '--json'],
  ['eval', ...MODEL, ...DATA, '--json'],
  ['eval', ...MODEL, ...DATA, '--detections'],
  ['recall', ...MODEL, ...DATA, '--json'],
  ['recall', ...MODEL, ...DATA, '--out'],
  ['detect', ...MODEL, 'good/photo.png', '--json'],
  ['bench', '--json'],
  ['export', ...MODEL, '--out'],
  ['compare', 'good/run', 'good/run', '--report'],
  ['proposals', '--method', 'selective-search', ...DATA, '--out'],
];

/** Commands that write into a folder at the end of their arguments. */
const FOLDER_WRITERS: readonly (readonly string[])[] = [
  ['check', ...DATA, '--pictures'],
  ['eval', ...MODEL, ...DATA, '--pictures'],
  ['eval', ...MODEL, ...DATA, '--report'],
  ['detect', ...MODEL, 'good/photo.png', '--out'],
  ['convert', ...DATA, '--to', 'yolo', '--out'],
  ['train', ...DATA, '--out'],
  ['pretrain', '--data', 'folder:good/classes', '--out'],
  ['demo', '--out'],
  ['multibox', ...DATA, '--out'],
  ['compress', ...MODEL, '--out'],
];

/** Outputs that are inputs, or belong to something else. */
const OVERWRITING: readonly (readonly string[])[] = [
  ['detect', ...MODEL, 'good/photo.png', '--json', 'good/photo.png'],
  ['detect', ...MODEL, 'good/photo.png', '--json', 'good/run/checkpoint.safetensors'],
  ['check', ...DATA, '--json', 'good/coco/ann.json'],
  ['check', ...DATA, '--json', 'good/coco/images/a.png'],
  ['eval', ...MODEL, ...DATA, '--json', 'good/coco/ann.json'],
  ['eval', ...MODEL, ...DATA, '--detections', 'good/run/config.json'],
  ['eval', ...DATA, '--from', 'good/found.json', '--json', 'good/found.json'],
  ['recall', ...MODEL, ...VOC, '--proposals-file', 'A=good/proposals.csv', '--json', 'good/proposals.csv'],
  ['bench', '--compare', 'good/found.json', 'good/found.json', '--json', 'good/found.json'],
  ['convert', ...DATA, '--to', 'voc', '--out', 'good/coco'],
  ['train', '--init', 'good/run/checkpoint.safetensors', '--out', 'good/run'],
  ['train', ...DATA, '--out', 'good/run'],
  ['train', ...DATA, '--out', 'good/pretrained'],
  ['train', ...DATA, '--out', 'good/foreign'],
  ['pretrain', '--data', 'folder:good/classes', '--out', 'good/foreign'],
  ['pretrain', '--data', 'folder:good/classes', '--out', 'good/run'],
  ['demo', '--out', 'good/foreign'],
  ['compress', ...MODEL, '--out', 'good/run'],
  ['compress', ...MODEL, '--out', 'good/foreign'],
  ['export', ...MODEL, '--out', 'good/run/config.json'],
  ['compare', 'good/run', 'good/run', '--report', 'good/run/config.json'],
];

const NUMBERS = [
  '',
  ' ',
  '-1',
  '0',
  '1.5',
  'NaN',
  'Infinity',
  '1e999',
  '99999999999999999999',
  '0x10',
  '\u0661',
  'null',
];
const NAMES = ['', 'nothing', '__proto__', 'constructor', '../..', '\u001b[31m', 'x'.repeat(100_000)];
/** Whole numbers above 0, which other options take too. */
const COUNTS: readonly (readonly string[])[] = [
  ['train', ...DATA, '--out', 'new', '--steps'],
  ['train', ...DATA, '--out', 'new', '--checkpoint-every'],
  ['train', ...DATA, '--out', 'new', '--save-every'],
  ['train', ...DATA, '--out', 'new', '--save-every', '2', '--keep'],
  ['train', ...DATA, '--out', 'new', '--validate', 'all', '--patience'],
  ['train', ...DATA, '--out', 'new', '--validate', 'all', '--validate-every'],
  ['train', ...DATA, '--out', 'new', '--validate', 'all', '--validate-images'],
  ['pretrain', '--out', 'new', '--size'],
  ['pretrain', '--out', 'new', '--steps'],
  ['pretrain', '--out', 'new', '--batch'],
  ['detect', ...MODEL, 'good/photo.png', '--every'],
  ['detect', ...MODEL, 'good/photo.png', '--tile'],
  ['eval', ...MODEL, ...DATA, '--tile'],
  ['recall', ...MODEL, ...DATA, '--proposals'],
  ['demo', '--out', 'new', '--steps'],
  ['demo', '--out', 'new', '--test-images'],
  ['compress', ...MODEL, '--out', 'new', '--fc6'],
  ['compress', ...MODEL, '--out', 'new', '--fc7'],
  ['pretrain', '--out', 'new', '--checkpoint-every'],
  ['pretrain', '--out', 'new', '--micro-batch'],
];
/** Numbers of other kinds: 0, fractions and hexadecimal digits may be right. */
const SEEDS = ['check', 'convert', 'train', 'eval', 'recall'].map((command) => [
  ...[command, ...DATA, ...(command === 'convert' ? ['--to', 'voc', '--out', 'new'] : [])],
  ...(['eval', 'recall'].includes(command) ? MODEL : []),
  ...(command === 'train' ? ['--out', 'new'] : []),
  '--split-seed',
]);
const OTHER_NUMBERS: readonly (readonly string[])[] = [
  ...SEEDS,
  ['train', ...DATA, '--out', 'new', '--seed'],
  ['train', ...DATA, '--out', 'new', '--learning-rate'],
  ['train', ...DATA, '--out', 'new', '--heartbeat-timeout'],
  ['pretrain', '--out', 'new', '--heartbeat-timeout'],
  ['eval', ...MODEL, ...DATA, '--heartbeat-timeout'],
  ['pretrain', '--out', 'new', '--seed'],
  ['pretrain', '--out', 'new', '--learning-rate'],
  ['demo', '--out', 'new', '--seed'],
  ['detect', ...MODEL, 'good/photo.png', '--tile', '64', '--overlap'],
  ['eval', ...MODEL, ...DATA, '--tile', '64', '--overlap'],
  ['detect', ...MODEL, 'good/photo.png', '--threshold'],
  ['bench', '--compare', 'good/found.json', 'good/found.json', '--tolerance'],
];
const NO_NUMBERS = ['', ' ', '-1', 'NaN', 'Infinity', '1e999', '\u0661', 'null', '1,5', '--'];

const NAMED: readonly (readonly string[])[] = [
  ['check', ...DATA, '--preset'],
  ['check', ...DATA, '--backbone'],
  ['check', ...DATA, '--split'],
  ['check', ...DATA, '--set'],
  ['eval', ...MODEL, ...DATA, '--metric'],
  ['eval', ...MODEL, ...DATA, '--weights'],
  ['eval', ...MODEL, ...DATA, '--split'],
  ['recall', ...MODEL, ...DATA, '--baseline'],
  ['recall', ...MODEL, ...DATA, '--proposals-file'],
  ['convert', ...DATA, '--out', 'new', '--to'],
  ['convert', ...DATA, '--to', 'voc', '--out', 'new', '--split'],
  ['train', ...DATA, '--out', 'new', '--preset'],
  ['train', ...DATA, '--out', 'new', '--backbone'],
  ['train', ...DATA, '--out', 'new', '--schedule'],
  ['train', ...DATA, '--out', 'new', '--input'],
  ['train', ...DATA, '--out', 'new', '--split'],
  ['train', ...DATA, '--out', 'new', '--validate'],
  ['train', ...DATA, '--out', 'new', '--precision'],
  ['train', ...DATA, '--out', 'new', '--adapter'],
  ['train', ...DATA, '--out', 'new', '--set'],
  ['pretrain', '--out', 'new', '--backbone'],
  ['compress', ...MODEL, '--out', 'new', '--weights'],
  ['export', ...MODEL, '--out', 'new', '--weights'],
  ['recall', ...MODEL, ...DATA, '--weights'],
  ['recall', ...MODEL, ...DATA, '--split'],
  ['detect', ...MODEL, 'good/photo.png', '--weights'],
  ['detect', ...MODEL, 'good/photo.png', '--precision'],
  ['eval', ...MODEL, ...DATA, '--precision'],
  ['eval', ...MODEL, ...DATA, '--set'],
  ['info', '--filter'],
  ['bench', '--filter'],
  ...['info', 'pretrain', 'eval', 'recall', 'detect', 'demo', 'bench', 'compress', 'export'].map((command) => [
    ...[command, ...(['eval', 'recall', 'detect', 'compress', 'export'].includes(command) ? MODEL : [])],
    ...(['eval', 'recall'].includes(command) ? DATA : []),
    ...(command === 'detect' ? ['good/photo.png'] : []),
    ...(['compress', 'export', 'pretrain', 'demo'].includes(command) ? ['--out', 'new'] : []),
    '--adapter',
  ]),
];

/** Values of settings that no device holds, that no network has, or that can only mean as many as there are. */
const SETTINGS: readonly string[] = [
  'detector.rpn.channels=1000000000',
  'detector.rpn.channels=9007199254740991',
  'detector.rpn.channels=-1',
  'detector.rpn.channels="x"',
  'detector.rpn.batch=1000000000',
  'detector.rpn.train.preNms=1000000000',
  'detector.rpn.train.postNms=1000000000',
  'detector.head.batch=1000000000',
  'detector.head.pooled=1000000000',
  'detector.head.pooled=300',
  'detector.input.shorterSide=1000000000',
  'detector.input.mean=[1,2]',
  'detector.anchors.sizes=[]',
  'detector.anchors.sizes=[1e30]',
  'detector.anchors.ratios=[1e-30]',
  `detector.anchors.sizes=[${Array.from({ length: 100_000 }, (_, i) => i + 1).join()}]`,
  'detector.test.maxDetections=1000000000',
  `detector.rpn=${'['.repeat(1000)}`,
  'detector.__proto__.x=1',
  '__proto__.x=1',
  'detector=5',
  'training.steps=0',
  'training.learningRate=1e999',
  'training.imagesPerStep=9007199254740991',
  'training.milestones=[5,3]',
  'data=x',
];

/** Values in place of each of these parts of a run's configuration. */
const CONFIG_PARTS = [
  ...['data', 'split', 'preset', 'schedule', 'init', 'skipBadBoxes', 'checkpointInterval', 'detector', 'training'],
  ...['validation', 'plannedFor', 'kernels', 'format', 'detector.classes', 'detector.input', 'detector.rpn'],
  ...['detector.anchors', 'detector.rpn.channels', 'training.steps', 'training.milestones', 'training.seed'],
];
const CONFIG_VALUES: readonly unknown[] = [5, null, [], {}, '', '\u001b[31m', -1, 1e300, [null], { constructor: 5 }];
/** Values of the right type that no device holds, or that do not belong to the run's weights. */
const CONFIG_EDITS: readonly (readonly [name: string, value: unknown])[] = [
  ['detector.rpn.channels', 1e9],
  ['detector.rpn.test.preNms', 1e9],
  ['detector.rpn.test.postNms', 1e9],
  ['detector.head.pooled', 200],
  ['detector.input.shorterSide', 1e9],
  ['detector.classes', ['a', 'b']],
  ['detector.classes', ['__background__', ...Array.from({ length: 1e6 }, (_, i) => `class ${i}`)]],
  ['detector.backbone', '__proto__'],
  ['kernels', { x: 'y' }],
];

/** Writes the folder, and returns what is to be run in it. `train`: see `writeHostileFolder`. */
export async function hostileCases(root: string, train?: (folder: string) => Promise<void>): Promise<HostileCase[]> {
  const folder = await writeHostileFolder(root, train);
  return [...pathCases(folder), ...valueCases(), ...contentCases(folder), ...configCases(root)];
}

function pathCases({ hostile }: HostileFolder): HostileCase[] {
  const names = [...NOWHERE, ...hostile];
  return [
    ...READERS.flatMap(({ args, device }) => names.map((name) => ({ args: [...args, name], device }))),
    ...PREFIXED.flatMap(([args, prefix]) => names.map((name) => ({ args: [...args, prefix + name] }))),
    ...WRITERS.flatMap((args) => UNWRITABLE.map((name) => ({ args: [...args, name] }))),
    ...FOLDER_WRITERS.flatMap((args) => NO_FOLDER.map((name) => ({ args: [...args, name] }))),
    ...OVERWRITING.map((args) => ({ args })),
  ];
}

const valueCases = (): HostileCase[] => [
  ...COUNTS.flatMap((args) => NUMBERS.map((value) => ({ args: [...args, value] }))),
  ...OTHER_NUMBERS.flatMap((args) => NO_NUMBERS.map((value) => ({ args: [...args, value] }))),
  ...NAMED.flatMap((args) => NAMES.map((value) => ({ args: [...args, value] }))),
  ...SETTINGS.flatMap((value) => [
    { args: ['check', ...DATA, '--set', value], harmless: true },
    { args: ['train', ...DATA, '--out', 'new', '--steps', '1', '--set', value], device: true, harmless: true },
  ]),
];

/** An empty file may be an image without objects, and lines of a log that are no records are passed over. */
function contentCases({ data, runs }: HostileFolder): HostileCase[] {
  return [
    ...data.flatMap((spec) => [
      { args: ['check', '--data', spec], harmless: true },
      { args: ['convert', '--to', 'csv', '--out', 'new', '--data', spec], harmless: true },
      { args: ['eval', ...MODEL, '--data', spec] },
    ]),
    ...runs.flatMap(({ folder, file }): HostileCase[] => {
      const device = file !== 'config.json';
      // A link that leads nowhere is no checkpoint yet.
      const none = folder.endsWith('dangling');
      const harmless = file !== 'config.json' && (file !== 'checkpoint.safetensors' || none);
      return [
        { args: ['check', ...DATA, '--model', folder], harmless: true },
        { args: ['eval', ...DATA, '--split', 'all', '--model', folder], device, harmless },
        { args: ['train', '--resume', '--out', folder], device, harmless },
      ];
    }),
  ];
}

function configCases(root: string): HostileCase[] {
  const run = path.join(root, 'good', 'run');
  const config = JSON.parse(fs.readFileSync(path.join(run, 'config.json'), 'utf8')) as Record<string, unknown>;
  const edits = [
    ...CONFIG_PARTS.flatMap((name) => CONFIG_VALUES.map((value) => [name, value] as const)),
    ...CONFIG_EDITS,
  ];
  return edits.flatMap(([name, value], i): HostileCase[] => {
    const folder = path.join('config', `${i}`);
    fs.mkdirSync(path.join(root, folder), { recursive: true });
    const edited = structuredClone(config);
    const keys = name.split('.');
    const last = keys.pop()!;
    const part = keys.reduce((within, key) => within[key] as Record<string, unknown>, edited);
    part[last] = value;
    fs.writeFileSync(path.join(root, folder, 'config.json'), JSON.stringify(edited));
    fs.linkSync(path.join(run, 'checkpoint.safetensors'), path.join(root, folder, 'checkpoint.safetensors'));
    return [
      { args: ['check', ...DATA, '--model', folder], harmless: true },
      { args: ['detect', 'good/photo.png', '--out', 'new', '--model', folder], device: true, harmless: true },
    ];
  });
}

/** What is wrong with how a command ended, or null. */
export function complaint({ args, harmless }: HostileCase, { code, stdout, stderr }: Outcome): string | null {
  if (code === 0) return harmless ? null : 'succeeded';
  if (code !== 1) return `ended by ${code}: ${stderr.slice(0, 1500)}`;
  if (/[\0-\x08\x0b-\x1f\x7f-\x9f]/.test(stdout + stderr)) return 'printed control characters';
  if (/\n {4}at /.test(stdout + stderr)) return `printed a stack: ${stderr.slice(0, 1500)}`;
  // `rcnn check` lists what is wrong with data on stdout.
  if (args[0] === 'check' && stderr === '' && /^\d+ problems?:$/m.test(stdout)) return null;
  if (!/^rcnn \w+: [^\n]{3,2000}\n$/.test(stderr))
    return `did not say why in one line: ${JSON.stringify(stderr.slice(0, 500))}`;
  return null;
}

/** Everything beneath a folder: names, sizes, times of change. */
function snapshot(folder: string): Map<string, string> {
  const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return new Map(
    names.map((name) => {
      const { size, mtimeMs, ino } = fs.lstatSync(path.join(folder, name));
      const isFolder = fs.lstatSync(path.join(folder, name)).isDirectory();
      return [name, isFolder ? 'folder' : `${size} ${mtimeMs} ${ino}`];
    }),
  );
}

/**
 * Runs the cases one after the other in `root`; returns a line for each command that did not end as it must. What a harmless
 * case may have written goes to `new`, which is removed after each.
 */
export async function runHostile(
  root: string,
  cases: readonly HostileCase[],
  onCase: (done: number) => void = () => {},
): Promise<string[]> {
  const commands = new Commands(root);
  const wrong: string[] = [];
  // Data and runs that are read are not looked at after each command: there are thousands.
  const watched = ['good', 'hostile'];
  const state = (): string =>
    JSON.stringify([fs.readdirSync(root).sort(), ...watched.map((name) => [...snapshot(path.join(root, name))])]);
  let before = state();
  try {
    for (const [i, one] of cases.entries()) {
      const outcome = await commands.run(one.args);
      if (one.harmless) fs.rmSync(path.join(root, 'new'), { recursive: true, force: true });
      const what = complaint(one, outcome);
      const name = one.args.map((arg) => (arg.length > 80 ? `${arg.slice(0, 60)}... (${arg.length})` : arg)).join(' ');
      if (what !== null) wrong.push(`rcnn ${JSON.stringify(name).slice(1, -1)}: ${what}`);
      const after = state();
      if (after !== before) wrong.push(`rcnn ${JSON.stringify(name).slice(1, -1)}: wrote something`);
      fs.rmSync(path.join(root, 'new'), { recursive: true, force: true });
      before = state();
      onCase(i + 1);
    }
  } finally {
    commands.close();
  }
  return wrong;
}
