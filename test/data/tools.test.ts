/** Small data sets as tools, systems and people write them: each is read as it is meant, or one line says why not. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { disjointSplits } from '../../src/data/splitNames.ts';
import { splitsOf } from '../../src/data/registry.ts';
import { decodeAll, openSplits } from '../../src/run/reports/dataReport.ts';
import { userError, vocXml } from './fixtures.ts';
import { writeFiles } from './formats/files.ts';

type Files = Record<string, string | object>;

const cat = vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]);
const named = (filename: string) => vocXml([{ name: 'cat', box: [3, 4, 20, 15] }], { filename });
const BOX = [2, 3, 18, 12];
const coco = (change: object = {}) => ({
  images: [{ id: 1, file_name: 'a.jpg', width: 40, height: 30 }],
  categories: [{ id: 1, name: 'cat' }],
  annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: BOX, area: 216, iscrowd: 0 }],
  ...change,
});
const utf16 = (text: string): Buffer => Buffer.from(`\ufeff${text}`, 'utf16le');

/** Of each split: its name, and how many objects each image has. */
interface Expected {
  files: Files;
  /** Files whose bytes are no text in UTF-8, and pictures of other names. */
  bytes?: Record<string, Buffer>;
  renamed?: Record<string, string>;
  classes?: string;
  splits?: string;
  problems?: RegExp[];
  notes?: RegExp[];
}

const CASES: Record<string, Expected> = {
  "Roboflow's VOC export: a folder for each split": {
    files: {
      'README.roboflow.txt': 'x',
      'train/a.xml': cat,
      'train/a.jpg': '',
      'valid/a.xml': cat,
      'valid/a.png': '',
      'test/c.xml': cat,
      'test/c.jpg': '',
    },
    splits: 'train 1, valid 1, test 1',
    notes: [/^1 image in both 'train' and 'valid'/],
  },
  'a folder for each split among the annotations and among the images': {
    files: {
      'Annotations/train/a.xml': cat,
      'Annotations/val/b.xml': cat,
      'images/train/a.jpg': '',
      'images/val/b.png': '',
    },
    splits: 'train 1, val 1',
  },
  'a data set within the folder that its archive made, beside what macOS adds': {
    files: {
      'VOCdevkit/VOC2012/Annotations/a.xml': cat,
      'VOCdevkit/VOC2012/JPEGImages/a.jpg': '',
      'VOCdevkit/VOC2012/ImageSets/Main/train.txt': 'a\n',
      '__MACOSX/Annotations/._a.xml': 'junk',
      '.DS_Store': 'junk',
    },
    splits: 'train 1',
  },
  'extensions in capitals': {
    files: { 'Annotations/A.XML': named('A.JPG'), 'JPEGImages/A.JPG': '', 'ImageSets/Main/train.TXT': 'A\r\n\r\n' },
    splits: 'train 1',
  },
  'a path of Windows as <filename>': {
    files: { 'Annotations/001.xml': named('C:\\me\\IMG_1.JPG'), 'JPEGImages/IMG_1.JPG': '' },
    notes: [/another folder than the one written \(1, the first: 001 is /],
  },
  'two images that differ in their extension: <filename> says which': {
    files: { 'Annotations/a.xml': named('a.png'), 'JPEGImages/a.jpg': '', 'JPEGImages/a.png': '' },
  },
  'an image that a browser saved as .jfif': { files: { 'a.xml': named('a.jfif') }, renamed: { 'a.jpg': 'a.jfif' } },
  'a photograph of an iPhone, as it is and beside its conversion': {
    files: { 'a.xml': named('a.HEIC'), 'a.jpg': '', 'b.xml': named('b.jpg'), 'c.xml': cat },
    bytes: {
      'a.HEIC': Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic'.padEnd(500)),
      'b.jpg': Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic'.padEnd(500)),
      'c.heif': Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic'.padEnd(500)),
    },
    splits: 'all 3',
    problems: [/b\.jpg: .* \(its format is HEIC, .*: convert it to JPEG\)/, /c\.heif: .*HEIC/, /a\.HEIC: .*HEIC/],
  },
  'class names with references to characters, and with spaces of no width': {
    files: {
      'a.xml': cat.replace('>cat<', '>caf&#233; &amp; co<'),
      'b.xml': cat.replace('>cat<', '>cat\u200b<'),
      'c.xml': cat,
      'a.jpg': '',
      'b.jpg': '',
      'c.jpg': '',
    },
    classes: 'caf\u00e9 & co,cat',
    splits: 'all 3',
  },
  'JSON in UTF-16, as PowerShell writes it': {
    files: { 'a.jpg': '' },
    bytes: { 'ann.json': utf16(JSON.stringify(coco())) },
  },
  'COCO: the names of images under other keys and as in a URL, classes that are numbers': {
    files: {
      'ann.json': coco({
        images: [{ id: 1, filename: 'a%20b.jpg', width: 40, height: 30 }],
        categories: [
          { id: 0, name: '_background_' },
          { id: 1, name: 7 },
        ],
      }),
      'a b.jpg': '',
    },
    classes: '7',
    notes: [/category _background_ has no object and is not a class/],
  },
  'COCO: boxes that are no four numbers': {
    files: {
      'ann.json': coco({
        annotations: [
          ...coco().annotations,
          { id: 2, image_id: 1, category_id: 1, bbox: [...BOX, 0.3] },
          { id: 3, image_id: 1, category_id: 1, bbox: { x: 2, y: 3, width: 18, height: 12 } },
        ],
      }),
      'a.jpg': '',
    },
    problems: [2, 3].map((id) => new RegExp(`annotation ${id}: bbox: must be four numbers, x, y, width and height`)),
  },
  'boxes in fractions of the image, where pixels belong': {
    files: {
      'train.csv': 'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,x,cat,1,0.1,0.7,0.2,0.8\n',
      'a.jpg': '',
    },
    problems: [/no box reaches beyond the first pixel, so the coordinates seem to be fractions of the image; multiply/],
  },
  'YOLO with decimal commas': { files: { 'classes.txt': 'cat\n', 'a.txt': '0 0,275 0,3 0,45 0,4\r\n', 'a.jpg': '' } },
  'YOLO in UTF-16': {
    files: { 'a.jpg': '' },
    bytes: { 'classes.txt': utf16('cat\r\n'), 'a.txt': utf16('0 0.275 0.3 0.45 0.4\r\n') },
  },
};

for (const [name, { files, bytes = {}, renamed = {}, ...expected }] of Object.entries(CASES)) {
  test(name, async () => {
    const originals = Object.fromEntries(Object.keys(renamed).map((file) => [file, '']));
    const root = await writeFiles({ ...files, ...originals });
    for (const [file, content] of Object.entries(bytes)) writeFileSync(join(root, file), content);
    for (const [from, to] of Object.entries(renamed)) renameSync(join(root, from), join(root, to));
    const { splits, problems, notes } = await openSplits(root, disjointSplits(splitsOf(root)));
    const decoded = await decodeAll(splits.flatMap(({ dataset }) => dataset.samples));
    const counts = splits.map(({ split, dataset: { samples } }) => `${split} ${samples.length}`);
    assert.is(counts.join(', '), expected.splits ?? 'all 1');
    assert.is(splits[0]!.dataset.classes.slice(1).join(), expected.classes ?? 'cat');
    assert.ok(splits.every(({ dataset }) => dataset.samples.every(({ boxes }) => boxes.length === 1)));
    matchAll([...problems, ...decoded.problems], expected.problems ?? []);
    matchAll(notes, expected.notes ?? []);
  });
}

/** Each line has its pattern, whatever the order. */
function matchAll(lines: readonly string[], patterns: readonly RegExp[]): void {
  assert.is(lines.length, patterns.length, lines.join('\n'));
  for (const pattern of patterns)
    assert.ok(
      lines.some((line) => pattern.test(line)),
      `${pattern}: ${lines.join('\n')}`,
    );
}

test('a folder around several data sets names them', async () => {
  const root = await writeFiles({ 'one/a.xml': cat, 'one/a.jpg': '', 'two/a.xml': cat, 'two/a.jpg': '' });
  const message = await userError((async () => splitsOf(root))());
  assert.ok(
    message.endsWith(`give one of them, or several that belong together: ${join(root, 'one')},${join(root, 'two')}`),
  );
});

test("a list of CreateML's is not taken for Label Studio's", async () => {
  const annotations = [{ label: 'cat', coordinates: { x: 11, y: 9, width: 18, height: 12 } }];
  const root = await writeFiles({ '_annotations.createml.json': [{ image: 'a.jpg', annotations }], 'a.jpg': '' });
  assert.match(await userError((async () => splitsOf(root))()), /its format is not recognised; give/);
});

test.run();
