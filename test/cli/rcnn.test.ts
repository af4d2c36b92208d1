/** `rcnn` as a user runs it: help, every command on small data, what it prints and writes, and its one-line errors. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { serializeSafetensors } from '../../src/engine/safetensors.ts';
import { temporaryFolder, vocXml, writeCoco, writeImage, writeVoc } from '../data/fixtures.ts';
import { type Result, rcnn, start } from './command.ts';

const object = vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]);

/** Two images to train on and one to test on, of 40x30 pixels. */
const smallVoc = (annotations: Record<string, string> = {}) =>
  writeVoc({
    splits: { train: 'a\nb\n', test: 'c\n' },
    annotations: { a: object, b: vocXml([]), c: object, ...annotations },
    images: ['a.jpg', 'b.jpg', 'c.jpg'],
  });

/** One line on stderr that names the command, no stack, exit code 1. */
function isUserError({ code, stderr }: Result, text: RegExp): void {
  assert.is(code, 1, stderr);
  assert.is(stderr.trim().split('\n').length, 1, stderr);
  assert.match(stderr, /^rcnn( \w+)?: /);
  assert.match(stderr, text);
}

const succeeds = ({ code, stdout, stderr }: Result): string => {
  assert.is(code, 0, stdout + stderr);
  assert.is(stderr, '');
  return stdout;
};

test('help of the command and of each of its commands, with an example', async () => {
  const folder = temporaryFolder();
  const help = succeeds(await rcnn(folder, '--help'));
  const commands = ['info', 'check', 'pretrain', 'train', 'eval', 'recall', 'detect', 'compress', 'demo', 'bench'];
  for (const command of commands) assert.match(help, new RegExp(`^  ${command} `, 'm'));
  const helps = await Promise.all(commands.map((command) => rcnn(folder, command, '--help')));
  helps.forEach((result, i) => assert.match(succeeds(result), new RegExp(`Example:\n  rcnn ${commands[i]}`)));
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  assert.is(succeeds(await rcnn(folder, '--version')).trim(), version);
});

test('an option, a command or a value that does not exist', async () => {
  const cases: [args: string[], text: RegExp][] = [
    [
      ['train', '--sead', '1'],
      /^rcnn train: unknown option '--sead' \(Did you mean --seed\?\); see rcnn train --help$/m,
    ],
    [['trian'], /^rcnn: unknown command 'trian' \(Did you mean train\?\); see rcnn --help$/m],
    [['eval', '--model', 'x'], /^rcnn eval: required option '--data <spec>' not specified;/],
    [
      ['eval', '--data', 'digits'],
      /^rcnn eval: --model is missing: give a run directory or a file of weights, or saved detections with --from$/m,
    ],
    [
      ['eval', '--data', 'digits', '--from', 'x', '--model', 'y'],
      /'--from <file>' cannot be used with option '--model <path>'/,
    ],
    [['detect', '--model', 'x'], /^rcnn detect: missing required argument 'image';/],
    [['train', '--steps', '0'], /'--steps <n>' argument '0' is invalid\. It must be a whole number above 0\./],
    [['train', '--learning-rate', '-1'], /It must be a number above 0\./],
    [['train', '--adapter', 'gpu'], /Allowed choices are auto, hardware, software\./],
    [['detect', '--model', 'x', 'y.jpg', '--threshold', '2'], /It must be a number from 0 to 1\./],
    [
      ['eval', '--model', 'x', '--data', 'digits', '--metric', 'map'],
      /^rcnn eval: --metric map: unknown; choose voc07 \(11 points\), voc10 \(area\) or coco \(/,
    ],
    [
      ['recall', '--model', 'x', '--data', 'digits', '--proposals', '50,0'],
      /'50,0' is invalid\. It must be a whole number/,
    ],
    [['recall', '--model', 'x', '--data', 'digits', '--proposals-file', 'eb.csv'], /It must be NAME=FILE\./],
    [['recall', '--model', 'x', '--data', 'digits', '--proposals-file', 'RPN=a.csv'], /The name RPN is taken\./],
    [['train', '--preset', 'huge'], /^rcnn train: --preset huge: unknown; choose from demo, digits,/],
    [['train', '--backbone', 'alexnet'], /^rcnn train: --backbone alexnet: unknown; choose from small, /],
    [['train', '--schedule', 'greedy'], /^rcnn train: --schedule greedy: unknown; choose from joint, joint-warp,/],
    [['train', '--set', 'detector.rpn.lamda=1'], /^rcnn train: --set detector.rpn.lamda=1: there is no /],
    [['train', '--input', 'gray'], /^rcnn train: --input gray: unknown; choose bgr or rgb$/m],
    [['train', '--init', 'none.safetensors'], /^rcnn train: none\.safetensors: there is no such file/],
    [['train', '--resume', '--out', 'none'], /config\.json: there is no such file; none is not a run of 'rcnn train'/],
    [['eval', '--model', 'none', '--data', 'digits'], /^rcnn eval: none.config\.json: there is no such file/],
  ];
  // Two processes at once in one run directory would only be told of each other.
  const folders = cases.map(temporaryFolder);
  const results = await Promise.all(cases.map(([args], i) => rcnn(folders[i]!, ...args)));
  results.forEach((result, i) => isUserError(result, cases[i]![1]));
  assert.equal(
    folders.flatMap((folder) => readdirSync(folder)),
    [],
  );
});

test('a result that could not be written is told before anything is computed', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), '');
  const model = ['--model', 'none', '--data', 'digits'];
  const below = join('file', 'x.json');
  const cases: [args: string[], path: string][] = [
    [['info', '--json', below], below],
    [['bench', '--quick', '--json', below], below],
    [['check', '--json', below], below],
    [['check', '--pictures', 'file'], join('file', 'train.png')],
    [['eval', ...model, '--json', below], below],
    [['eval', ...model, '--detections', below], below],
    [['eval', ...model, '--pictures', 'file'], join('file', 'detections.png')],
    [['recall', ...model, '--out', join('file', 'recall.png')], join('file', 'recall.png')],
    [['recall', ...model, '--json', below], below],
    [['detect', 'file', '--model', 'none', '--out', 'file'], join('file', 'file.png')],
    [['detect', 'file', '--model', 'none', '--json', below], below],
  ];
  const results = await Promise.all(cases.map(([args]) => rcnn(folder, ...args)));
  results.forEach((result, i) => {
    isUserError(result, /could not be written, a part of its path is a file; choose another place$/m);
    assert.is(result.stdout, '');
    assert.match(result.stderr, `: ${cases[i]![1]}: could`);
  });
  assert.equal(readdirSync(folder), ['file']);
});

test('data that cannot be used, before anything is trained', async () => {
  const folder = temporaryFolder();
  const bad = (annotation: string) => smallVoc({ b: annotation });
  const box = (...corners: [number, number, number, number]) => bad(vocXml([{ name: 'cat', box: corners }]));
  const empty = await writeVoc({ splits: { train: '' } });
  const missing = await writeVoc({ splits: { train: 'a\nz\n' }, annotations: { a: object, z: object } });
  const otherSize = await smallVoc();
  await writeImage(join(otherSize, 'JPEGImages', 'b.jpg'), 41, 30);
  const cases: [root: string, text: RegExp][] = [
    [await box(3, 4, 60, 15), /b\.xml: object 1 \(cat\): box \(3, 4, 60, 15\) lies 20 px outside its 40x30 image; fix/],
    [
      await box(3, 4, 3, 15),
      /b\.xml: object 1 \(cat\): box .* has no area; fix or delete it, or pass --skip-bad-boxes/,
    ],
    [await bad('<annotation><object>'), /b\.xml: line \d+: not well-formed XML/],
    [empty, /train\.txt: lists no image; write one image name per line/],
    [missing, /JPEGImages.z\.\*: no such image/],
    [otherSize, /b\.jpg: is 41x30 but \S+b\.xml says 40x30/],
    [join(folder, 'nowhere'), /nowhere: no such folder; give one in VOC layout/],
  ];
  const results = await Promise.all(
    cases.map(([root], i) => rcnn(folder, 'train', '--data', `voc:${root}`, '--out', `run-${i}`)),
  );
  results.forEach((result, i) => isUserError(result, cases[i]![1]));
  assert.equal(readdirSync(folder), []);
});

test('check lists every problem, counts what is usable and says how the anchors fit', async () => {
  const folder = temporaryFolder();
  const bad = vocXml([
    { name: 'cat', box: [3, 4, 20, 15] },
    { name: 'cat', box: [3, 4, 3, 15] },
    { name: 'dog', box: [3, 4, 60, 15] },
    { name: 'cat', box: [3, 4, 20, 15] },
  ]);
  const root = await smallVoc({ b: bad });
  truncateSync(join(root, 'JPEGImages', 'a.jpg'), 250);
  const data = ['--data', `voc:${root}`];
  const checked = await rcnn(folder, 'check', ...data, '--pictures', 'pictures', '--json', 'report.json');
  assert.is(checked.code, 1);
  assert.is(checked.stderr, '');
  const lines = checked.stdout.split('\n');
  const problems = lines.slice(lines.indexOf('3 problems:') + 1).filter(Boolean);
  assert.is(problems.length, 3, checked.stdout);
  assert.match(problems[0]!, /^ {2}\S+b\.xml: object 2 \(cat\): box .* has no area; fix or delete it/);
  assert.match(problems[1]!, /^ {2}\S+b\.xml: object 3 \(dog\): box .* lies 20 px outside/);
  assert.match(problems[2]!, /^ {2}\S+a\.jpg: cannot be read as an image/);
  assert.match(checked.stdout, /^note: split 'train': 1 image with an object twice, the first: b$/m);
  assert.match(checked.stdout, /^ {2}train +2 +0 +3 +0$/m);
  assert.match(checked.stdout, /^ {2}test +1 +0 +1 +0$/m);
  assert.match(checked.stdout, /^ {2}cat +3 +4 +\d+\.\d % +\d+\.\d %$/m);
  assert.match(checked.stdout, /^ {2}dog +0 +0 +- +-$/m);
  assert.match(checked.stdout, /^images 40x30 \(3\); resized for the network 640x480 \(3\)$/m);
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
  assert.equal(report.problems.length, 3);
  assert.equal(report.splits, [
    { split: 'train', images: 2, withoutObjects: 0, objects: 3, notCounted: 0 },
    { split: 'test', images: 1, withoutObjects: 0, objects: 1, notCounted: 0 },
  ]);
  assert.equal(report.classes[1], { name: 'dog', images: 0, objects: 0, iou50: null, iou70: null });
  assert.is(report.anchors.objects, 4);
  // One image of train can be drawn.
  assert.equal(readdirSync(join(folder, 'pictures')).sort(), ['test.png', 'train.png']);

  const none = await rcnn(folder, 'check', '--data', `voc:${await smallVoc({ a: '<', b: '<', c: '<' })}`);
  assert.is(none.code, 1);
  assert.match(none.stdout, /^4 problems:\n.*a\.xml: .*\n.*b\.xml: .*\n.*c\.xml: .*\n.*no annotated object/m);

  const whole = await smallVoc();
  const [fine, alone, far, wrong] = await Promise.all([
    rcnn(folder, 'check', '--data', `voc:${whole}`),
    rcnn(folder, 'check', '--data', `voc:${whole}`, '--split', 'test,train', '--set', 'detector.input.shorterSide=60'),
    rcnn(folder, 'check', '--data', `voc:${whole}`, '--set', 'detector.anchors.sizes=[30]'),
    rcnn(folder, 'check', '--data', `voc:${whole}`, '--split', 'dev'),
  ]);
  assert.match(succeeds(fine), /^no problems$/m);
  assert.match(succeeds(fine), /^ {2}train +2 +1 +1 +0$/m);
  assert.match(succeeds(alone), /split .*\n {2}test .*\n {2}train /);
  assert.match(succeeds(alone), /resized for the network 80x60 \(3\)/);
  const advice =
    /^--set 'detector\.anchors\.sizes=\[[\d,]+\]' --set 'detector\.anchors\.ratios=\[\S+\]' would reach 100\.0 % and/m;
  assert.match(succeeds(far), advice);
  isUserError(wrong, /^rcnn check: --split dev: .* has no such split; it has test, train$/m);
});

/** A safetensors file of zeros; `edit` changes its bytes. */
function writeWeights(
  path: string,
  shapes: Record<string, number[]>,
  edit: (bytes: Buffer) => Buffer = (bytes) => bytes,
): void {
  const stored = Object.entries(shapes).map(([name, shape]) => {
    return [name, { shape, data: new Float32Array(shape.reduce((product, n) => product * n, 1)) }] as const;
  });
  writeFileSync(path, edit(Buffer.from(serializeSafetensors(Object.fromEntries(stored)))));
}

test('initial weights that cannot be used: one line, and no run is left behind', async () => {
  const folder = temporaryFolder();
  const small = { 'conv1.weight': [16, 3, 5, 5], 'conv1.bias': [16] };
  const lying = (change: bigint) => (bytes: Buffer) => {
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE() + change);
    return bytes;
  };
  const own = 'it is cut off or not a safetensors file: restore or recreate it$';
  const cases: [name: string, write: (path: string) => void, text: string, options?: string[]][] = [
    ['empty', (path) => writeFileSync(path, ''), `has 0 bytes; ${own}`],
    ['text', (path) => writeFileSync(path, '<!DOCTYPE html>'), `its header claims \\d+ bytes of 15; ${own}`],
    ['cut', (path) => writeWeights(path, small, (bytes) => bytes.subarray(0, -1)), `tensor .+ ends beyond .+; ${own}`],
    [
      'cut in the header',
      (path) => writeWeights(path, small, (bytes) => bytes.subarray(0, 99)),
      `its header .+; ${own}`,
    ],
    ['short header', (path) => writeWeights(path, small, lying(-8n)), `its header is not JSON; ${own}`],
    ['long header', (path) => writeWeights(path, small, lying(8n)), `its header is not JSON; ${own}`],
    [
      'huge header',
      (path) => writeWeights(path, small, lying(2n ** 40n)),
      `its header claims 1\\d+ bytes of .+; ${own}`,
    ],
    [
      'zip',
      (path) => writeFileSync(path, Buffer.from('504b030400000808', 'hex')),
      'invalid zip data; it is cut off, damaged or not a PyTorch file: fetch or save it again$',
    ],
    [
      'pickle',
      (path) => writeFileSync(path, Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex')),
      'its pickle is cut off; it is cut off, damaged or not a PyTorch file: fetch or save it again$',
    ],
    [
      'other tensors',
      (path) => writeWeights(path, { 'layer1.0.conv1.weight': [64, 64, 1, 1] }),
      'none of its tensors fits the backbone small; choose another file$',
    ],
    [
      'other shape',
      (path) => writeWeights(path, { 'conv1.weight': [16, 3, 3, 3] }),
      'none of its tensors fits the backbone small \\(conv1.weight is \\[16, 3, 3, 3\\], in this network \\[16, 3, 5, 5\\]\\); choose another file$',
    ],
    [
      'frozen layer missing',
      (path) => writeWeights(path, { 'features.0.weight': [64, 3, 3, 3], 'features.0.bias': [64] }),
      'lacks features.3.squeeze.weight, which is not trained and would stay random; choose another file$',
      ['--backbone', 'squeezenet1_1'],
    ],
    [
      'frozen layer of another shape',
      (path) => writeWeights(path, { 'features.0.weight': [96, 3, 7, 7], 'features.3.squeeze.weight': [16, 64, 1, 1] }),
      'features.0.weight is \\[96, 3, 7, 7\\], in this network \\[64, 3, 3, 3\\], which is not trained and would stay random; choose another file$',
      ['--backbone', 'squeezenet1_1'],
    ],
  ];
  const files = cases.map(([name, write]) => {
    const file = `${name}.safetensors`;
    write(join(folder, file));
    return file;
  });
  const results = await Promise.all(
    cases.map(([, , , options = []], i) => rcnn(folder, 'train', '--init', files[i]!, '--out', `run-${i}`, ...options)),
  );
  results.forEach((result, i) =>
    isUserError(result, new RegExp(`^rcnn train: (\\S*/)?${files[i]}: ${cases[i]![2]}`, 'm')),
  );
  const early = await rcnn(folder, 'train', '--input', 'rgb', '--init', 'text.safetensors', '--out', 'run');
  isUserError(early, /^rcnn train: text\.safetensors: its header claims/);
  assert.is(early.stdout, '', 'before the device is opened');
  assert.equal(readdirSync(folder).sort(), [...files].sort());
});

test('initial weights that fit are taken, and the others are listed', async () => {
  const folder = temporaryFolder();
  const shapes = {
    'conv1.weight': [16, 3, 5, 5],
    'conv1.bias': [16],
    'conv2.weight': [48, 16, 5, 5],
    'conv2.bias': [48],
    'fc8.weight': [10, 128],
  };
  writeWeights(join(folder, 'some.safetensors'), shapes);
  const trained = succeeds(await rcnn(folder, 'train', '--init', 'some.safetensors', '--steps', '1', '--out', 'run'));
  assert.match(trained, /^weights +\S+some\.safetensors$/m);
  const lines = trained.split('\n').filter((line) => /initial weights|^ {2}\S/.test(line));
  assert.equal(lines, [
    `initial weights from ${join(folder, 'some.safetensors')}: 2 tensors, for input in RGB`,
    '  loaded: conv1',
    '  does not fit: conv2.weight is [48, 16, 5, 5], in this network [48, 16, 3, 3]',
    '  random: conv2, conv3, conv4, fc6, rpn.conv, rpn.cls_score, rpn.bbox_pred, head.cls_score, head.bbox_pred',
    '  not used: fc8.weight',
  ]);
});

test('a preset for pre-trained weights says that it starts without any', async () => {
  const folder = temporaryFolder();
  const small = ['--set', 'detector.input.shorterSide=96', '--set', 'detector.anchors.sizes=[16]'];
  const trained = await rcnn(folder, 'train', '--data', `voc:${await smallVoc()}`, '--steps', '1', ...small);
  assert.match(succeeds(trained), /^weights +random: pass --init FILE for a pre-trained squeezenet1_1$/m);
});

/** A drawn image of this shape, enlarged or not. */
function assertFourToThree(path: string): void {
  const { width, height } = PNG.sync.read(readFileSync(path));
  assert.is(width / 4, height / 3);
}

/** Every second frame of a video of three, through ffmpeg or, where there is none, a program that writes what it would. */
async function detectsInVideo(folder: string, detect: readonly string[]): Promise<void> {
  const bin = join(folder, 'bin');
  const make = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=64x48:rate=3:duration=1', join(folder, 'clip.avi')];
  if (spawnSync('ffmpeg', make).status !== 0) {
    mkdirSync(bin);
    const frame = `Buffer.concat([Buffer.from('P6\\n64 48\\n255\\n'), Buffer.alloc(3 * 64 * 48, 99)])`;
    const program = `#!${process.execPath}\nfor (let i = 0; i < 2; i++) process.stdout.write(${frame});\n`;
    writeFileSync(join(bin, 'ffmpeg'), program, { mode: 0o755 });
    writeFileSync(join(folder, 'clip.avi'), 'a video');
  }
  const found = succeeds(await start([...detect, '--every', '2', 'clip.avi'], folder, { path: bin }).result);
  assert.equal(
    [...found.matchAll(/^clip\.avi frame (\d): .* -> (.*)$/gm)].map(([, frame, path]) => [frame, path]),
    [1, 3].map((frame) => [`${frame}`, join('some', `clip-00000${frame}.png`)]),
  );
  assertFourToThree(join(folder, 'some', 'clip-000003.png'));
}

test('train, eval and detect on a data set in VOC layout', async () => {
  const folder = temporaryFolder();
  const root = await smallVoc({ b: vocXml([{ name: 'cat', box: [3, 4, 3, 15] }]) });
  const data = ['--data', `voc:${root}`];
  const run = join(folder, 'run');
  const trained = succeeds(
    await rcnn(folder, 'train', ...data, '--preset', 'digits', '--steps', '3', '--out', 'run', '--skip-bad-boxes'),
  );
  assert.match(trained, /^note: split 'train': 1 unusable box left out, the first: .*b\.xml/m);
  assert.match(trained, /^computing on \S+|^no GPU found: computing on the CPU with \S+/m);
  assert.match(trained, /^network +small, [\d,]+ parameters$/m);
  assert.match(trained, /^weights +random$/m);
  assert.match(trained, /^anchors +IoU >= 0\.5 with \d+\.\d % of 1 objects, >= 0\.7 with \d+\.\d %/m);
  assert.match(trained, /^compiling shaders before the first step\n(.*\n)*?\d+ shaders compiled in \d+\.\d s$/m);
  assert.match(trained, /^step 3\/3 .*loss \d+\.\d+: rpn \d\S+ head \d/m);
  assert.match(trained, /^trained: 3 steps, .*saved in run$/m);
  assert.not(/\x1b|\r/.test(trained), 'no control characters where there is no terminal');
  assert.equal(readdirSync(run).sort(), ['checkpoint.safetensors', 'config.json', 'metrics.jsonl']);
  const line = JSON.parse(readFileSync(join(run, 'metrics.jsonl'), 'utf8'));
  for (const name of ['step', 'lr', 'loss', 'rpn_cls', 'rpn_box', 'head_cls', 'head_box', 'seconds']) {
    assert.type(line[name], 'number', name);
  }

  const again = await rcnn(folder, 'train', ...data, '--out', 'run', '--skip-bad-boxes');
  const contradicted = await rcnn(folder, 'train', '--resume', '--out', 'run', '--steps', '4');
  isUserError(again, /^rcnn train: run: already holds a run; continue it with --resume, or choose another --out$/m);
  isUserError(
    contradicted,
    /^rcnn train: --steps: the run to resume has 3 \(run.config\.json\), not 4; leave the option out/,
  );
  // On a software adapter a run is deterministic by itself.
  const { plannedFor } = JSON.parse(readFileSync(join(run, 'config.json'), 'utf8'));
  if (/on the CPU/.test(trained)) {
    assert.is(plannedFor.maxBindingBytes, 2 ** 27);
    isUserError(
      await rcnn(folder, 'train', '--resume', '--out', 'run', '--tune'),
      /^rcnn train: --tune: the run to resume is deterministic \(run.config\.json\); leave the option out/,
    );
    isUserError(
      await rcnn(folder, 'train', '--resume', '--out', 'run', '--no-deterministic'),
      /^rcnn train: --deterministic: the run to resume has true \(run.config\.json\), not false/,
    );
  }

  const evaluated = succeeds(await rcnn(folder, 'eval', '--model', 'run', ...data, '--json', 'report.json'));
  assert.match(evaluated, /^average precision \(voc10, area, IoU 0\.5\) on 1 images/m);
  assert.match(evaluated, /^  cat +\d\.\d{4}$/m);
  assert.match(evaluated, /^  mAP +\d\.\d{4}$/m);
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
  assert.equal(Object.keys(report), ['metric', 'mAP', 'ap', 'images', 'seconds']);
  assert.is(report.metric, 'voc10');
  assert.equal(report.ap, { cat: report.mAP });
  assert.is(report.images, 1);

  writeFileSync(join(folder, 'good.csv'), 'image,x1,y1,x2,y2,score\nc,2,3,19,14,1\n');
  writeFileSync(join(folder, 'bad.csv'), 'image,x1,y1,x2,y2,score\nc,2,3,19,14,1\nd,2,3,19,14,1\n');
  const recall = (...args: string[]) =>
    rcnn(folder, 'recall', '--model', 'run', ...data, '--json', 'recall.json', '--proposals', '8,2', ...args);
  isUserError(
    await recall('--proposals-file', 'Good=good.csv', '--proposals-file', 'Bad=bad.csv'),
    /^rcnn recall: bad\.csv: line 3: image 'd' is not in the data; /,
  );
  assert.not(readdirSync(folder).some((file) => /^recall/.test(file)));
  const recalled = succeeds(await recall('--baseline', 'anchors', '--proposals-file', 'Good=good.csv'));
  assert.match(recalled, /^recall of proposals on .*, split test, 1 images, 1 objects$/m);
  assert.match(recalled, /^  Good +2 +1\.0 +1\.0000 +1\.0000 +1\.0000$/m);
  const { recall: rows } = JSON.parse(readFileSync(join(folder, 'recall.json'), 'utf8'));
  assert.equal(
    rows.map(({ method, proposals }: { method: string; proposals: number }) => `${method} ${proposals}`),
    ['RPN 2', 'RPN 8', 'sliding anchors 2', 'sliding anchors 8', 'Good 2', 'Good 8'],
  );
  assert.ok(PNG.sync.read(readFileSync(join(folder, 'recall.png'))).width > 1000);

  const images = join(folder, 'images');
  mkdirSync(images);
  await writeImage(join(images, 'one.png'), 40, 30);
  await writeImage(join(images, 'two.jpg'), 64, 48);
  const args = ['--model', 'run', '--threshold', '0', '--out', 'images', '--json', 'found.json'];
  const detected = succeeds(await rcnn(folder, 'detect', ...args, 'images', 'images/two.jpg'));
  const drawn = ['one-2.png', 'two.png', 'two-2.png'].map((name) => join('images', name));
  for (const path of drawn) {
    assert.ok(detected.includes(`-> ${path}`), detected);
    const { width, height } = PNG.sync.read(readFileSync(join(folder, path)));
    assert.is(width / 4, height / 3);
  }
  assert.is(PNG.sync.read(readFileSync(join(images, 'one.png'))).width, 40, 'an image is never replaced');
  const found = JSON.parse(readFileSync(join(folder, 'found.json'), 'utf8'));
  assert.equal(
    found.map(({ image }: { image: string }) => image),
    ['images/one.png', 'images/two.jpg', 'images/two.jpg'].map((path) => join(path)),
  );
  const [first] = found[1].detections;
  assert.equal(Object.keys(first), ['x1', 'y1', 'x2', 'y2', 'class', 'score']);
  assert.is(first.class, 'cat');
  assert.ok(first.x1 >= 0 && first.x2 <= 63 && first.y2 <= 47 && first.score > 0 && first.score <= 1);

  const input = readFileSync(join(images, 'one.png'));
  const some = ['detect', '--model', 'run', '--threshold', '0', '--out', 'some'];
  const piped = succeeds(await start([...some, '-'], folder, { input }).result);
  assert.match(piped, /^-: \d+ cat -> some.stdin\.png$/m);
  assertFourToThree(join(folder, 'some', 'stdin.png'));
  await detectsInVideo(folder, some);

  // What does not fit this model.
  const dogs = await writeVoc({
    splits: { test: 'a' },
    annotations: { a: vocXml([{ name: 'dog', box: [3, 4, 20, 15] }]) },
  });
  writeFileSync(join(images, 'cut.jpg'), readFileSync(join(images, 'two.jpg')).subarray(0, 250));
  const wrong = await Promise.all([
    rcnn(folder, 'eval', '--model', 'run', '--data', `voc:${dogs}`),
    rcnn(folder, 'eval', '--model', 'run', '--data', 'digits'),
    rcnn(folder, 'detect', '--model', 'run', 'images/none.jpg'),
    rcnn(folder, 'detect', '--model', 'run', dogs),
  ]);
  isUserError(wrong[0]!, /a\.xml: object 1 is of class 'dog', which is not one of cat/);
  isUserError(wrong[1]!, /--data digits: its classes are 0, 1, .*, not cat; use a model of digits/);
  isUserError(wrong[2]!, /^rcnn detect: images\/none\.jpg: there is no such file or folder; check the name$/m);
  isUserError(wrong[3]!, /: contains no image/);
  const inputs = ['images/cut.jpg', 'images/two.jpg'];
  const cut = await rcnn(folder, 'detect', '--model', 'run', ...inputs, '--out', 'rest', '--json', 'rest.json');
  isUserError(cut, /images\/cut\.jpg: cannot be read as an image \(it is cut off\)/);
  assert.equal(readdirSync(join(folder, 'rest')), ['two.png'], 'the others are detected in');
  const rest = JSON.parse(readFileSync(join(folder, 'rest.json'), 'utf8')) as { image: string; error?: string }[];
  assert.equal(
    rest.map(({ image, error }) => [image, error !== undefined]),
    [
      ['images/cut.jpg', true],
      ['images/two.jpg', false],
    ],
  );
  truncateSync(join(run, 'checkpoint.safetensors'), 1000);
  isUserError(await rcnn(folder, 'eval', '--model', 'run', ...data), /checkpoint\.safetensors: .*it is cut off/);
});

test('train on COCO’s format, eval with its metric, and of saved detections', async () => {
  const folder = temporaryFolder();
  const image = (id: number, name: string) => ({ id, file_name: name, width: 40, height: 30 });
  const { spec } = await writeCoco({
    images: [image(7, 'a.jpg'), image(42, 'b.jpg')],
    files: ['a.jpg', 'b.jpg'],
    categories: [
      { id: 18, name: 'cat' },
      { id: 3, name: 'dog' },
    ],
    annotations: [
      { id: 1, image_id: 7, category_id: 18, bbox: [2, 3, 18, 12], area: 100, iscrowd: 0 },
      { id: 2, image_id: 7, category_id: 3, bbox: [20, 3, 0, 12], area: 100, iscrowd: 0 },
    ],
  });
  const data = ['--data', spec];
  const train = ['train', ...data, '--preset', 'digits', '--steps', '3', '--out', 'run'];
  isUserError(
    await rcnn(folder, ...train, '--split', 'val'),
    /--split val: .*instances\.json has no such split; it has all/,
  );
  isUserError(await rcnn(folder, ...train), /instances\.json: annotation 2 \(dog\): bbox .* has no area; fix/);
  const trained = succeeds(await rcnn(folder, ...train, '--skip-bad-boxes'));
  assert.match(trained, /^note: 1 unusable box left out/m);
  assert.match(trained, /^data +coco:.*, split all: 2 images, 2 classes$/m);

  const evaluate = ['eval', ...data, '--metric', 'coco', '--json', 'report.json'];
  const low = ['--set', 'detector.test.scoreThreshold=0', '--detections', 'found.json'];
  const evaluated = succeeds(await rcnn(folder, ...evaluate, '--model', 'run', ...low));
  const number = '(0\\.\\d{3}|-1\\.000)';
  const lines = evaluated.split('\n').filter((line) => /^ Average (Precision|Recall) /.test(line));
  assert.is(lines.length, 12);
  assert.match(
    lines[0]!,
    new RegExp(`^ Average Precision  \\(AP\\) @\\[ IoU=0\\.50:0\\.95 \\| area=   all \\| maxDets=100 \\] = ${number}$`),
  );
  assert.match(
    lines[6]!,
    new RegExp(`^ Average Recall     \\(AR\\) @\\[ IoU=0\\.50:0\\.95 \\| area=   all \\| maxDets=  1 \\] = ${number}$`),
  );
  assert.match(evaluated, /^average precision \(coco, IoU 0\.50:0\.95\) on 2 images/m);
  assert.match(evaluated, /^  cat +\d\.\d{4}$/m);
  assert.match(evaluated, /^  dog +no object in this split$/m);
  const readReport = () => {
    const { seconds, ...rest } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
    assert.type(seconds, 'number');
    return rest;
  };
  const report = readReport();
  assert.equal(Object.keys(report), ['metric', 'mAP', 'ap', 'images', 'coco']);
  assert.equal(report.ap, { cat: report.mAP, dog: null });
  assert.is(report.coco.AP, report.mAP);
  assert.is(report.coco.APl, -1);

  const found = JSON.parse(readFileSync(join(folder, 'found.json'), 'utf8')) as Record<string, number>[];
  assert.ok(found.length > 0);
  for (const { image_id, category_id } of found)
    assert.ok([7, 42].includes(image_id!) && [18, 3].includes(category_id!));
  const from = ['--from', 'found.json', '--skip-bad-boxes'];
  assert.match(succeeds(await rcnn(folder, ...evaluate, ...from)), /^note: 1 unusable box left out/m);
  assert.equal(readReport(), report);
  isUserError(
    await rcnn(folder, 'eval', '--data', 'digits', '--from', 'found.json'),
    /^rcnn eval: found\.json: result 1: image \d+ is not/,
  );
});

test('a truncated image stops the training with its name', async () => {
  const folder = temporaryFolder();
  const root = await smallVoc();
  truncateSync(join(root, 'JPEGImages', 'b.jpg'), 250);
  const result = await rcnn(
    folder,
    'train',
    '--data',
    `voc:${root}`,
    '--preset',
    'digits',
    '--steps',
    '4',
    '--out',
    'run',
  );
  isUserError(result, /^rcnn train: .*b\.jpg: cannot be read as an image \(.*\); replace the file/);
});

test('a run that is evaluated while it trains, and its best weights', async () => {
  const folder = temporaryFolder();
  const root = await smallVoc();
  const data = ['--data', `voc:${root}`, '--preset', 'digits', '--steps', '4'];
  const trained = succeeds(
    await rcnn(folder, 'train', ...data, '--validate', 'test', '--validate-every', '2', '--out', 'run'),
  );
  assert.match(trained, /^validate +split test: 1 images every 2 steps$/m);
  assert.match(trained, /^validation at step 2: mAP \d\.\d{4}, the best so far, loss \d+\.\d{3}, 1 images in \d/m);
  assert.match(trained, /^validation at step 4: mAP /m);
  assert.match(
    trained,
    /^best weights: mAP \d\.\d{4} at step [24]; use them with --weights best \(rcnn eval, detect, recall\)$/m,
  );
  const files = ['best.safetensors', 'checkpoint.safetensors', 'config.json', 'metrics.jsonl', 'validation.jsonl'];
  assert.equal(readdirSync(join(folder, 'run')).sort(), files);
  const test = ['--model', 'run', '--data', `voc:${root}`, '--weights', 'best'];
  const results = await Promise.all([
    rcnn(folder, 'eval', ...test, '--pictures', 'pictures'),
    rcnn(folder, 'recall', ...test),
    rcnn(folder, 'detect', '--model', 'run', '--weights', 'best', join(root, 'JPEGImages', 'c.jpg')),
    rcnn(folder, 'train', '--resume', '--out', 'run', '--validate', 'train'),
  ]);
  results.slice(0, 3).forEach(succeeds);
  isUserError(results[3]!, /--validate: the run to resume has test .*, not train; leave the option out/);
  rmSync(join(folder, 'run', 'best.safetensors'));
  isUserError(await rcnn(folder, 'eval', ...test), /best\.safetensors: there is no such file; training keeps the best/);
});

test('an adapter that is not there', async () => {
  const result = await rcnn(temporaryFolder(), 'info', '--adapter', 'hardware');
  if (result.code === 0) return; // this machine has a GPU
  isUserError(
    result,
    /^rcnn info: no hardware adapter was found.*: install the GPU's driver, or use the adapter 'software'$/m,
  );
});

test('info checks every kernel on the device', async () => {
  const folder = temporaryFolder();
  const stdout = succeeds(await rcnn(folder, 'info', '--json', 'info.json'));
  assert.match(stdout, /^ok +relu_forward .*, largest error /m);
  assert.match(stdout, /^ok +roi_pool_backward /m);
  assert.match(stdout, /^\d+ kernels passed, 0 failed; compiled in \d+\.\d s$/m);
  const info = JSON.parse(readFileSync(join(folder, 'info.json'), 'utf8'));
  assert.is(info.failed, 0);
  assert.ok(info.passed > 60 && info.kernels.length === info.passed);
  assert.ok(info.limits.maxBufferSize >= 2 ** 28);
});

test('a run that is interrupted, killed and resumed ends with the bits of one that was not', async () => {
  const folder = temporaryFolder();
  const options = ['--preset', 'demo', '--steps', '24', '--checkpoint-every', '6'];
  const whole = rcnn(folder, 'train', ...options, '--out', 'whole');
  const path = (name: string) => join(folder, 'stopped', name);
  const lines = () =>
    existsSync(path('metrics.jsonl')) ? readFileSync(path('metrics.jsonl'), 'utf8').split('\n') : [];
  const until = async (ready: () => boolean, result: Promise<Result>) => {
    let ended = false;
    void result.then(() => (ended = true));
    while (!ready() && !ended) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  const first = start(['train', ...options, '--out', 'stopped'], folder);
  await until(() => lines().length > 1, first.result);
  first.child.kill('SIGINT');
  const interrupted = await first.result;
  assert.is(interrupted.code, 130, interrupted.stderr);
  assert.match(interrupted.stdout, /^stopping after this step; press Ctrl-C again to quit at once$/m);
  assert.match(interrupted.stdout, /^stopped after \d+ steps?, .*Continue with: rcnn train --resume --out stopped$/m);

  const before = readFileSync(path('checkpoint.safetensors'));
  const second = start(['train', '--resume', '--out', 'stopped'], folder);
  await until(() => !readFileSync(path('checkpoint.safetensors')).equals(before), second.result);
  second.child.kill('SIGKILL');
  assert.is((await second.result).code, 'SIGKILL');

  const resumed = succeeds(await rcnn(folder, 'train', '--resume', '--out', 'stopped'));
  assert.match(resumed, /^continuing after step \d+$/m);
  succeeds(await whole);
  // The header holds the seconds: the tensors are what follows it.
  const tensors = (file: Buffer) => file.subarray(8 + Number(file.readBigUInt64LE(0)));
  const end = tensors(readFileSync(path('checkpoint.safetensors')));
  assert.ok(end.length > 1_000_000);
  assert.ok(end.equals(tensors(readFileSync(join(folder, 'whole', 'checkpoint.safetensors')))));
  const steps = lines()
    .filter(Boolean)
    .map((line) => JSON.parse(line).step);
  assert.equal(
    steps,
    [...new Set(steps)].sort((a, b) => a - b),
  );
  assert.is(steps.at(-1), 24);

  assert.match(succeeds(await rcnn(folder, 'train', '--resume', '--out', 'stopped')), /^trained: 24 steps/m);
});

test('the demo trains, evaluates and leaves its pictures, twice', async () => {
  const folder = temporaryFolder();
  const run = join(folder, 'runs', 'demo');
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, 'notes.txt'), 'mine');
  const demo = () => rcnn(folder, 'demo', '--steps', '12', '--test-images', '5');
  const stdout = succeeds(await demo());
  assert.match(stdout, /^evaluating on 5 test scenes/m);
  assert.match(stdout, /^  7 +(\d\.\d{4}|no object in this split)$/m);
  assert.match(stdout, /^  mAP +\d\.\d{4}$/m);
  for (const name of ['detections', 'proposals', 'losses']) {
    const picture = join('runs', 'demo', `${name}.png`);
    assert.ok(stdout.includes(picture));
    const { width, height, data } = PNG.sync.read(readFileSync(join(folder, picture)));
    assert.ok(width >= 900 && height >= 300, `${name}: ${width}x${height}`);
    assert.ok(new Set(new Uint32Array(data.buffer, data.byteOffset, data.length / 4)).size > 100, `${name} is blank`);
  }
  const twice = succeeds(await demo());
  assert.match(twice, /^runs.demo: replacing the run of an earlier demo$/m);
  assert.is(readFileSync(join(run, 'notes.txt'), 'utf8'), 'mine');
});

test.run();
