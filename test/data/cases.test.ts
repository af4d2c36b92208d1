/** Data sets as tools and people leave them (test/cases): what must become of each, and what must be said. */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encode } from 'bmp-ts';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drawSplits } from '../../src/data/drawnSplits.ts';
import { checkImage, readImage } from '../../src/data/images.ts';
import { openDataset, splitsOf, usualSplit } from '../../src/data/registry.ts';
import { UserError } from '../../src/engine/errors.ts';
import { decodeAll, openSplits, sameContent } from '../../src/run/reports/dataReport.ts';
import { temporaryFolder, userError, vocXml, writeCoco, writeImage, writeVoc } from './fixtures.ts';

const cases = fileURLToPath(new URL('../cases', import.meta.url));
/** The box that most of them have. */
const BOX = '30,20,119,99';

interface Expected {
  /** Default: one class, 'cat'. */
  classes?: string;
  /** Of each image in turn, its corners; default: one image with `BOX`, of COCO two. */
  boxes?: string[];
  /** One pattern for each problem; default: none. */
  problems?: RegExp[];
  notes?: RegExp[];
  part?: string;
}

const EXPECTED: Record<string, Expected> = {
  'attr-annotation': {},
  bmp: {},
  'class-case': {
    classes: 'Cat,cat,cat dog',
    boxes: [`${BOX};${BOX};${BOX}`],
    notes: [/classes 'Cat' and 'cat' differ only/, /one box in two classes/],
  },
  'comma-decimal': { boxes: ['30.5,20.5,119,99'] },
  'coords-minus': {
    boxes: ['0,0,159,119;30.5,20.5,118.25,98.9'],
    problems: [
      /object 1 \(cat\): .* 4 px outside/,
      /object 3 \(cat\): .* 5 px outside/,
      /object 4 \(cat\): .* corners swapped/,
    ],
    notes: [/1 of 5 objects begin at pixel 0 where VOC counts from 1/],
  },
  'cvat-default': {
    notes: [/no splits of its own: 1 of its 1 images are 'train', drawn 60\/20\/20 with --split-seed 0/],
  },
  'dup-object': {
    classes: 'cat,dog',
    boxes: [`${BOX};${BOX};${BOX}`],
    notes: [/an object twice/, /one box in two classes/],
  },
  'empty-class': { boxes: ['4,4,24,24'], problems: [/object 1 must have exactly one <name>/] },
  'exif6-raw-size': {
    problems: [/is displayed as 120x160, turned by its EXIF orientation, but \S+a\.xml says 160x120/],
  },
  'exif6-square': { boxes: ['10,10,59,39'], notes: [/^1 image \(the first: a\) is turned or mirrored by EXIF/] },
  'gbk-classes': { classes: '狗,猫,鸟', boxes: [BOX, BOX, BOX] },
  'junk-after': { classes: '', boxes: [], problems: [/a\.xml: line 1: not well-formed XML/, /no annotated object/] },
  'labelstudio-voc': { notes: [/no splits of its own/] },
  'latin1-class': { classes: 'café,cafê', boxes: [BOX, BOX] },
  'list-bom': {},
  'list-dup': { notes: [/2 of its 3 lines name an image again \(the first: a\); each is taken once/] },
  'list-with-ext': {},
  'one-pixel': { boxes: [''], problems: [/box \(31, 21, 31, 100\) has no area/] },
  part: { classes: 'person' },
  polygon: {
    classes: 'ship',
    boxes: [`${BOX};${BOX}`],
    notes: [/an object twice/, /the bounds of their polygon are taken \(1, the first: \S+a\.xml: object 1\)/],
  },
  robndbox: {
    classes: 'ship',
    boxes: [`31.71,26.66,116.29,91.34;${BOX}`],
    notes: [/the bounds of their rotated box are taken/],
  },
  'size-missing': {},
  'size-zero': {},
  'special-names': {},
  'subfolder-ids': {},
  truncated: { boxes: [BOX, BOX], problems: [/b\.jpg: cannot be read as an image/] },
  'upper-jpg': {},
  'zero-byte': { problems: [/a\.jpg: cannot be read as an image/] },
  'coco-area0': {},
  'coco-background': { notes: [/category background has no object and is not a class of its own: left out/] },
  'coco-backslash': {
    notes: [/images found in another folder than the one written \(2, the first: images\\a\.jpg is/],
  },
  'coco-bbox-empty': {
    classes: '',
    boxes: [],
    problems: [/no annotated object \(.*left out \(2, the first: annotation 1\)\)/],
  },
  'coco-bbox-null': {
    boxes: ['', BOX],
    notes: [/without a box or an outline are left out \(1, the first: annotation 1\)/],
  },
  'coco-bbox-outside': { boxes: ['', BOX], problems: [/annotation 1 \(cat\): .* 10 px outside/] },
  'coco-bbox-string': {},
  'coco-cat-space': { classes: 'cat' },
  'coco-cat0': {},
  'coco-dup-ann': { boxes: [`${BOX};${BOX}`, BOX], notes: [/an object twice/, /two annotations have the id 1/] },
  'coco-dup-ann-id': { notes: [/two annotations have the id 1/] },
  'coco-empty-anns': { classes: '', boxes: [], problems: [/no annotated object; there is nothing to learn/] },
  'coco-folder-mismatch': { notes: [/another folder than the one written \(2, the first: images\/a\.jpg is/] },
  'coco-iscrowd-str': {},
  'coco-labels-xyxy': { boxes: ['30,20,139,114', BOX], notes: [/1 of 2 boxes look like x1, y1, x2, y2/] },
  'coco-missing-img': { boxes: [BOX], problems: [/b\.jpg: no such image .*ann\.json has it/] },
  'coco-nan': {
    boxes: ['', BOX],
    problems: [/annotation 1 \(cat\): bbox \[30, 20, NaN, 80\] has a value that is not a number/],
  },
  'coco-no-categories': { classes: '', boxes: [], problems: [/ann\.json: categories: is missing/] },
  'coco-no-size': {},
  'coco-polygon-only': { notes: [/the bounds of their outline are taken \(2, the first: annotation 1\)/] },
  'coco-rle': {},
  'coco-roboflow': { notes: [/category animals has no object and is not a class of its own/] },
  'coco-size-float': {},
  'coco-size-string': {},
  'coco-string-cat-id': {},
  'coco-upper-jpg': {},
  'coco-url': { notes: [/another folder than the one written \(2, the first: https:\/\/example\.com\/x\/a\.jpg is/] },
};

/** A copy of a case with the pictures that it is about. */
async function prepare(name: string): Promise<string> {
  const root = temporaryFolder();
  cpSync(join(cases, name), root, { recursive: true });
  if (name.startsWith('coco-')) {
    mkdirSync(join(root, 'images'));
    const files = { 'coco-missing-img': ['a.jpg'], 'coco-upper-jpg': ['A.JPG', 'b.jpg'] }[name] ?? ['a.jpg', 'b.jpg'];
    for (const file of files) await writeImage(join(root, 'images', file), 160, 120);
    return root;
  }
  if (name === 'special-names') {
    renameSync(join(root, 'Annotations', 'a.xml'), join(root, 'Annotations', 'a #1 50% (x).v2.rf.01.xml'));
  }
  const folder = join(root, name === 'labelstudio-voc' ? 'images' : 'JPEGImages');
  const ids = readdirSync(join(root, 'Annotations'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.xml'),
  );
  for (const id of ids.map((file) => file.slice(0, -'.xml'.length))) {
    const path = join(folder, `${id}${name === 'upper-jpg' ? '.JPG' : '.jpg'}`);
    mkdirSync(dirname(path), { recursive: true });
    await writeImage(path, name === 'exif6-square' ? 128 : 160, name === 'exif6-square' ? 128 : 120);
    if (name.startsWith('exif6')) {
      writeFileSync(path, await sharp(readFileSync(path)).withMetadata({ orientation: 6 }).jpeg().toBuffer());
    }
    if (name === 'zero-byte') truncateSync(path, 0);
    if (name === 'truncated' && id === 'b') truncateSync(path, readFileSync(path).length >> 1);
    if (name === 'bmp') {
      const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
      const abgr = Buffer.alloc(4 * info.width * info.height, 255);
      for (let i = 0; i < info.width * info.height; i++) {
        for (let c = 0; c < 3; c++) abgr[4 * i + 3 - c] = data[3 * i + c]!;
      }
      writeFileSync(
        path.replace('.jpg', '.bmp'),
        encode({ data: abgr, width: info.width, height: info.height, bitPP: 24 }).data,
      );
      truncateSync(path, 0);
      renameSync(path, join(root, 'not-here'));
    }
  }
  return root;
}

test('every case has an outcome', () => {
  const folders = readdirSync(cases, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.equal(folders.map(({ name }) => name).sort(), Object.keys(EXPECTED).sort());
});

for (const [name, expected] of Object.entries(EXPECTED)) {
  const coco = name.startsWith('coco-');
  test(name, async () => {
    const root = await prepare(name);
    const spec = coco ? `coco:${join(root, 'images')},${join(root, 'ann.json')}` : root;
    const opened = await openSplits(spec, [coco ? 'all' : 'train']);
    const decoded = await decodeAll(opened.splits.flatMap(({ dataset }) => dataset.samples));
    const classes = opened.splits[0]?.dataset.classes.slice(1).join() ?? '';
    assert.is(classes, expected.classes ?? (coco ? 'cat,dog' : 'cat'));
    const corners = (opened.splits[0]?.dataset.samples ?? []).map(({ boxes }) =>
      boxes.map(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2].map((value) => Number(value.toFixed(2))).join()).join(';'),
    );
    assert.equal(corners, expected.boxes ?? (coco ? [BOX, BOX] : [BOX]));
    const crowds = opened.splits[0]?.dataset.samples.flatMap(({ boxes }) => boxes.filter(({ crowd }) => crowd)) ?? [];
    assert.is(crowds.length, name === 'coco-rle' ? 1 : 0);
    matchAll([...opened.problems, ...decoded.problems], expected.problems ?? []);
    matchAll([...opened.notes, ...decoded.notes], expected.notes ?? []);
  });
}

/** Each line has its pattern, whatever the order. */
function matchAll(lines: readonly string[], patterns: readonly RegExp[]): void {
  for (const line of lines) assert.not.match(line, '\n');
  assert.is(lines.length, patterns.length, lines.join('\n'));
  for (const pattern of patterns)
    assert.ok(
      lines.some((line) => pattern.test(line)),
      `${pattern}: ${lines.join('\n')}`,
    );
}

const object = vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]);

test('a folder is recognised, and its splits are found or drawn', async () => {
  const voc = await writeVoc({ splits: { train: 'a', val: 'a' }, annotations: { a: object } });
  assert.equal(splitsOf(voc), ['train', 'val']);
  assert.is(usualSplit(voc, 'val'), 'val');

  const roboflow = temporaryFolder(); // train/_annotations.coco.json beside the pictures
  for (const split of ['train', 'valid', 'test']) {
    const { folder, path } = await writeCoco();
    cpSync(folder, join(roboflow, split), { recursive: true });
    cpSync(path, join(roboflow, split, '_annotations.coco.json'));
  }
  assert.equal(splitsOf(roboflow), ['test', 'train', 'valid']);
  assert.is(usualSplit(roboflow, 'val'), 'valid');
  const { samples } = await openDataset(roboflow, { split: 'valid' });
  assert.is(samples[0]!.file, join(roboflow, 'valid', 'a.jpg'));
  assert.equal(sameContent((await openSplits(roboflow, ['train', 'test'])).splits), [
    `1 image in two splits under two names, the first: ${join(roboflow, 'train', 'a.jpg')} ('train') is ${join(roboflow, 'test', 'a.jpg')} ('test')`,
  ]);

  const official = temporaryFolder(); // annotations/instances_train2017.json, train2017/
  mkdirSync(join(official, 'annotations'));
  for (const split of ['train2017', 'val2017']) {
    const { folder, path } = await writeCoco();
    cpSync(folder, join(official, split), { recursive: true });
    cpSync(path, join(official, 'annotations', `instances_${split}.json`));
  }
  assert.is(usualSplit(official, 'train'), 'train2017');
  assert.is((await openDataset(official, { split: 'val2017' })).samples[0]!.file, join(official, 'val2017', 'a.jpg'));

  assert.match(
    await userError(openDataset(temporaryFolder(), { split: 'train' })),
    /its format is not recognised; give/,
  );
});

test('drawn splits: 60/20/20 by a seed, frames of one video and copies of one image together', () => {
  const photos = Array.from({ length: 100 }, (_, i) => `IMG_${String(i).padStart(4, '0')}`);
  const count = (parts: Map<string, string>) =>
    ['train', 'val', 'test'].map((split) => [...parts.values()].filter((part) => part === split).length);
  const first = drawSplits(photos, 0);
  assert.equal([count(first.splitOf), first.grouped], [[60, 20, 20], false]);
  assert.equal(drawSplits([...photos].reverse(), 0).splitOf, new Map([...first.splitOf].sort().reverse()));
  assert.not.equal([...drawSplits(photos, 1).splitOf].sort(), [...first.splitOf].sort());

  const frames = Array.from({ length: 10 }, (_, v) =>
    Array.from({ length: 10 }, (_, f) => `clip${v}_frame_${f}`),
  ).flat();
  const videos = drawSplits(frames, 3);
  assert.equal([count(videos.splitOf), videos.grouped], [[60, 20, 20], true]);
  for (let v = 0; v < 10; v++) {
    assert.is(new Set(frames.slice(10 * v, 10 * v + 10).map((id) => videos.splitOf.get(id))).size, 1);
  }
  const copies = drawSplits(['a_jpg.rf.0a1', 'a_jpg.rf.0b2', 'b_jpg.rf.77', 'c_jpg.rf.12', 'd_jpg.rf.34'], 0).splitOf;
  assert.is(copies.get('a_jpg.rf.0a1'), copies.get('a_jpg.rf.0b2'));
  const one = drawSplits(frames.slice(0, 10), 0); // a single video: stretches of time
  assert.equal([count(one.splitOf), one.grouped], [[6, 2, 2], true]);
  assert.equal(count(drawSplits(['x'], 0).splitOf), [1, 0, 0]);
});

test('images of every kind are read, and files that are not images are reported', async () => {
  const root = temporaryFolder();
  const png = join(root, 'a.png');
  await writeImage(png, 40, 30);
  for (const kind of ['tiff', 'gif', 'avif', 'webp'] as const) {
    const path = join(root, `a.${kind}`);
    writeFileSync(path, await sharp(png).toFormat(kind).toBuffer());
    const { width, height, rgba } = await readImage(path);
    assert.equal([width, height], [40, 30]);
    assert.ok(rgba[0]! > 230 && rgba[1]! < 25 && rgba[4 * 39 + 2]! > 230, kind);
    const header = await checkImage(path);
    assert.equal([header.width, header.height], [40, 30]);
  }
  symlinkSync('/dev/zero', join(root, 'device.png'));
  for (const bad of [join(root, 'device.png'), root]) {
    for (const read of [readImage, checkImage]) {
      assert.match(await userError(read(bad)), /(is a device; name a regular file|is a folder)/);
    }
  }
});

test('a picture outside the folder is read only if that is allowed; a name alone is looked for within', async () => {
  const { folder, path, spec } = await writeCoco({ images: [{ id: 7, file_name: '../b.jpg', width: 40, height: 30 }] });
  await writeImage(join(dirname(path), 'b.jpg'), 40, 30);
  assert.match(await userError(openDataset(spec, { split: 'all' })), /b\.jpg: leads out of .*; pass --allow-outside/);
  const allowed = await openDataset(spec, { split: 'all', allowOutside: true });
  assert.is((await allowed.samples[0]!.load()).width, 40);
  writeFileSync(path, readFileSync(path, 'utf8').replace('../b.jpg', '../../label-studio/media/upload/1/a.jpg'));
  const { samples, notes } = await openDataset(spec, { split: 'all' });
  assert.is(samples[0]!.file, join(folder, 'a.jpg'));
  assert.match(notes.join(), /another folder than the one written \(1, the first: \.\.\/\.\.\/label-studio/);
});

test('names: another Unicode form, quotes and labels in a list, XML in UTF-16, 64-bit ids', async () => {
  const decomposed = 'cafe\u0301';
  const voc = await writeVoc({
    splits: { train: '"caf\u00e9.jpg" 1\n' },
    annotations: { 'caf\u00e9': '' },
    images: [`${decomposed}.jpg`],
  });
  const xml = `<?xml version="1.0" encoding="UTF-16"?>${vocXml([{ name: '\u732b', box: [3, 4, 20, 15] }])}`;
  writeFileSync(join(voc, 'Annotations', 'caf\u00e9.xml'), Buffer.from(`\ufeff${xml}`, 'utf16le'));
  const { samples, classes } = await openDataset(voc, { split: 'train' });
  assert.equal(
    [samples[0]!.id, samples[0]!.file, classes[1]],
    ['caf\u00e9', join(voc, 'JPEGImages', `${decomposed}.jpg`), '\u732b'],
  );

  const { path, spec } = await writeCoco();
  const long = ['9007199254740993', '9007199254740992'];
  const text = readFileSync(path, 'utf8').replaceAll(/"(image_)?id":7/g, (_, image = '') => `"${image}id":${long[0]}`);
  writeFileSync(path, text.replace('"images":[', `"images":[{"id":${long[1]},"file_name":"b.jpg"},`));
  await writeImage(join(dirname(path), 'images', 'b.jpg'), 40, 30);
  const coco = await openDataset(spec, { split: 'all' });
  assert.equal(
    coco.samples.map(({ id, boxes, resultIds }) => [id, boxes.length, String(resultIds!.image)]),
    [
      ['b', 0, long[1]],
      ['a', 1, long[0]],
    ],
  );
});

test('entities, __proto__, control characters and folders in place of files are one line', async () => {
  const bomb = `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">${Array.from({ length: 60 }, (_, i) => `<!ENTITY b${i} "${'&a;'.repeat(300)}">`).join('')}]>`;
  for (const xml of [
    bomb + object.replace('>cat<', '>&b1;<'),
    object.replaceAll('object>', '__proto__>'),
    object.replace('<name>cat</name>', '<__proto__>cat</__proto__>'),
    object.replace('>4<', '>\u001b[31m<'),
  ]) {
    const opening = openDataset(await writeVoc({ annotations: { a: xml } }), { split: 'train' });
    const message = await opening.then(
      ({ classes }) => classes.join(),
      (error: UserError) => (assert.instance(error, UserError), error.message),
    );
    assert.ok(message.length < 1000);
    assert.not.match(message, /[\u0000-\u001f]/);
  }
  const root = await writeVoc();
  mkdirSync(join(root, 'Annotations', 'b.xml'));
  writeFileSync(join(root, 'ImageSets', 'Main', 'train.txt'), 'b\n');
  assert.match(await userError(openDataset(root, { split: 'train' })), /b\.xml: (missing|is a folder)/);
  symlinkSync('loop.json', join(root, 'loop.json'));
  assert.match(
    await userError(openDataset(`coco:${root},${join(root, 'loop.json')}`, { split: 'all' })),
    /loop\.json: .*link/,
  );
});

test.run();
