/** What the page exports is read by `rcnn`, and by the page itself, with the same boxes; other data sets in zip files, too. */
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ImportedObject, importLabels, LABEL_FORMATS, type LabelFormat, UserError } from '../../src/index.ts';
import { Random } from '../../src/kernels/rng.ts';
import { openDataset } from '../../src/node.ts';
import { splitsOf } from '../../src/data/registry.ts';
import { exportProject } from '../../web/label/exchange.ts';
import { addBoxes, addClass, addPictures, EMPTY_PROJECT, type Project, setEmpty } from '../../web/label/project.ts';
import { orientationOf } from '../../web/label/pictureFile.ts';
import { labelScene } from '../../scripts/labelScenes.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { message } from '../harness.ts';
import sharp from 'sharp';

const scenes = Array.from({ length: 5 }, (_, i) => labelScene(i));

/** Five scenes with their boxes, one that shows nothing, and one that was not labelled. */
function labelled(): Project {
  let project = addClass(addClass(EMPTY_PROJECT, 'square'), 'disc');
  for (const { name, width, height, objects } of [...scenes, labelScene(5), labelScene(6)]) {
    project = addPictures(project, [{ id: name, name, width, height, boxes: [], empty: false }]);
    if (name === 'scene-5.png') project = setEmpty(project, name, true);
    else if (name !== 'scene-6.png') {
      const classId = { square: 1, disc: 2 };
      project = addBoxes(
        project,
        name,
        objects.map(({ shape, ...edges }) => ({ ...edges, classId: classId[shape] })),
      );
    }
  }
  return project;
}

const fileOf = async (id: string): Promise<Blob> =>
  new Blob([new Uint8Array(labelScene(Number(/\d+/.exec(id)![0])).png)]);

const exported = async (format: LabelFormat): Promise<Uint8Array> =>
  new Uint8Array(await (await exportProject(labelled(), format, fileOf)).zip.arrayBuffer());

for (const format of Object.keys(LABEL_FORMATS) as LabelFormat[]) {
  test(`${format}: rcnn reads the boxes that were drawn`, async () => {
    const zip = await exported(format);
    const folder = temporaryFolder();
    for (const [path, bytes] of Object.entries(unzipSync(zip))) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), bytes);
    }
    const spec = `${format}:${folder}`;
    const found = new Map<string, string>();
    for (const split of format === 'yolo' ? ['train', 'val'] : splitsOf(spec)) {
      const { samples, classes } = await openDataset(spec, { split });
      for (const sample of samples) {
        const { width, height } = await sample.load();
        const boxes = sample.boxes.map(({ x1, y1, x2, y2, classIndex }) =>
          [classes[classIndex], ...[x1, y1, x2 + 1, y2 + 1].map((edge) => Math.round(1e3 * edge) / 1e3)].join(' '),
        );
        found.set(sample.id, `${width}x${height}: ${boxes.join(', ')}`);
      }
    }
    const wanted = scenes.map(({ name, width, height, objects }) => [
      name.replace('.png', ''),
      `${width}x${height}: ${objects.map(({ shape, x1, y1, x2, y2 }) => [shape, x1, y1, x2, y2].join(' ')).join(', ')}`,
    ]);
    assert.equal([...found].sort(), [...wanted, ['scene-5', '128x96: ']]);
  });
}

for (const format of Object.keys(LABEL_FORMATS) as LabelFormat[]) {
  test(`${format}: the page reads the boxes that were drawn`, async () => {
    const labels = await importLabels(await exported(format), 'labels.zip');
    assert.is(labels.format, format);
    // VOC has no list of classes: they are in the order of the alphabet.
    assert.equal(labels.classes, format === 'voc' ? ['disc', 'square'] : ['square', 'disc']);
    const found = labels.images
      .map(({ name, unlabelled, objects }) => ({ name, unlabelled, boxes: rounded(objects(scenes[0]!)) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const wanted = [...scenes, { ...labelScene(5), objects: [] }].map(({ name, objects }) => ({
      ...{ name, unlabelled: false },
      boxes: objects.map(({ shape, ...edges }) => ({ className: shape, ...edges })),
    }));
    assert.equal(found, wanted);
    assert.equal(labels.notes(), []);
    const third = labels.images.find(({ name }) => name === 'scene-3.png')!;
    assert.equal(third.unpack(), new Uint8Array(scenes[3]!.png));
  });
}

const rounded = (objects: readonly ImportedObject[]): ImportedObject[] =>
  objects.map((object) =>
    Object.assign(
      { ...object },
      ...(['x1', 'y1', 'x2', 'y2'] as const).map((edge) => ({ [edge]: Math.round(1e3 * object[edge]) / 1e3 })),
    ),
  );

const zipped = (files: Readonly<Record<string, string>>): Uint8Array =>
  zipSync(Object.fromEntries(Object.entries(files).map(([path, text]) => [path, strToU8(text)])));
const voc = (...names: string[]): string =>
  `<annotation><filename>a.jpg</filename>${names
    .map(
      (name) =>
        `<object><name>${name}</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>`,
    )
    .join('')}</annotation>`;
const SIZE = { width: 20, height: 10 };

test('data sets as other tools write them', async () => {
  // Roboflow: the same names in several folders; a file without objects, and one that macOS adds.
  const roboflow = await importLabels(
    zipped({
      ...{ 'my data/train/a.jpg': '1', 'my data/train/a.xml': voc('cat'), 'my data/valid/a.jpg': '2' },
      ...{ 'my data/valid/a.xml': voc(), '__MACOSX/my data/train/._a.xml': voc('fork') },
    }),
    'x.zip',
  );
  assert.equal(
    roboflow.images.map(({ name, unlabelled, unpack, objects }) => [
      ...[name, unlabelled, strFromU8(unpack())],
      objects(SIZE),
    ]),
    [
      ['a.jpg', false, '1', [{ className: 'cat', x1: 1, y1: 2, x2: 9, y2: 8 }]],
      ['a.jpg', false, '2', []],
    ],
  );
  // YOLO: names in a file that data.yaml names, and a picture that nobody labelled.
  const yolo = await importLabels(
    zipped({
      ...{ 'a.png': '', 'a.txt': '1 0.5 0.5 0.1 0.2\n', 'b.png': '' },
      ...{ 'data.yaml': 'names: all.classes', 'all.classes': 'cat\ndog\n' },
    }),
    'x.zip',
  );
  assert.equal(yolo.classes, ['cat', 'dog']);
  assert.equal(
    yolo.images.map(({ name, unlabelled, objects }) => [name, unlabelled, rounded(objects(SIZE))]),
    [
      ['a.png', false, [{ className: 'dog', x1: 9, y1: 4, x2: 11, y2: 6 }]],
      ['b.png', true, []],
    ],
  );
  // COCO: a file for each split, with the same names in their folders; a crowd, and a box that is not usable.
  const coco = (box: number[], iscrowd: number): string =>
    JSON.stringify({
      images: [{ id: 1, file_name: 'a.jpg' }],
      categories: [{ id: 7, name: 'cat' }],
      annotations: [{ id: 1, image_id: 1, category_id: 7, bbox: box, iscrowd }],
    });
  const splits = await importLabels(
    zipped({
      ...{ 'annotations/instances_train.json': coco([1, 2, 3, 4], 1), 'images/train/a.jpg': '1' },
      ...{ 'annotations/instances_val.json': coco([50, 2, 3, 4], 0), 'images/val/a.jpg': '2' },
    }),
    'x.zip',
  );
  assert.equal(
    splits.images.map(({ unpack, objects }) => [strFromU8(unpack()), objects(SIZE)]),
    [
      ['1', []],
      ['2', []],
    ],
  );
  assert.match(
    splits.notes().join('; '),
    /^regions of many objects are left out \(1, .*\); 1 unusable box left out, the first: /,
  );
});

test('a zip file that holds no such data set, or a damaged one, is one line', async () => {
  const refused = async (zip: Uint8Array): Promise<string> => {
    const line = await message(() => importLabels(zip, 'x.zip'));
    assert.not.match(line, '\n');
    return line;
  };
  const cases: [zip: Uint8Array, line: RegExp][] = [
    [(await exported('coco')).subarray(0, 1000), /^x\.zip: is not a zip file, or is cut off or damaged /],
    [new Uint8Array(0), /^x\.zip: is not a zip file/],
    [
      zipped({ 'a.jpg': '' }),
      /^x\.zip: holds no labels that are read here \(COCO, Pascal VOC, YOLO\); to add its pictures /,
    ],
    [
      zipped({ 'notes.txt': 'buy milk', 'package.json': '{}' }),
      /^x\.zip: holds no labels that are read here .*YOLO\)$/,
    ],
    [
      zipSync({ 'a.xml': new Uint8Array(2e7) }),
      /^x\.zip: is an archive of \d+ bytes that would unpack to 20000000, far more /,
    ],
    [zipped({ 'a.xml': voc('cat') }), /^x\.zip: a\.xml: its image a is not in the zip file; /],
    [zipped({ 'b\n.xml': voc('cat') }), /^x\.zip: b\ufffd\.xml: its image b\ufffd is not in the zip file; /],
    [zipped({ 'a.jpg': '', 'a.xml': voc('cat').slice(0, 80) }), /^x\.zip: a\.xml: line 1: not well-formed XML /],
    [zipped({ 'a.jpg': '', 'a.xml': voc(' ') }), /^x\.zip: a\.xml: object 1 must have exactly one <name> /],
    [
      zipped({ 'a.jpg': '', 'a.xml': voc('__background__') }),
      /^x\.zip: a\.xml: object 1 is of class '__background__', /,
    ],
    [zipped({ 'a.jpg': '', 'a.txt': '0 0.5 0.5 0.1 0.2\n0 cat' }), /^x\.zip: a\.txt: line 2: 'cat' is not a number; /],
    [
      zipped({ 'a.jpg': '', 'a.txt': '9 .5 .5 .1 .2', 'data.yaml': 'names: [cat]' }),
      /^x\.zip: a\.txt: line 1: class 9 is not one /,
    ],
    [zipped({ 'a.jpg': '', 'data.yaml': 'names: [cat' }), /^x\.zip: data\.yaml: is not YAML /],
    [
      zipped({ 'a.jpg': '', 'data.yaml': 'names: {999999999: cat}' }),
      /^x\.zip: data\.yaml: names\.999999999: there are at most /,
    ],
    [zipped({ 'a.json': '{"images": [' }), /^x\.zip: a\.json: is not JSON /],
    [
      zipped({ 'a.json': '{"images": [{}], "categories": [{"id": 1, "name": "cat"}]}' }),
      /^x\.zip: a\.json: images\.0\./,
    ],
  ];
  for (const [zip, line] of cases) assert.match(await refused(zip), line);
});

test('zip files with bytes that were changed are read, or refused in one line', async () => {
  const random = new Random(1);
  for (const format of Object.keys(LABEL_FORMATS) as LabelFormat[]) {
    const zip = await exported(format);
    for (let i = 0; i < 60; i++) {
      const changed = zip.slice();
      // Most of the bytes are pictures: the list at the end and the texts at the beginning are what is read.
      const from = i % 2 === 0 ? 0 : zip.length - 1500;
      for (let k = 0; k < 3; k++) changed[from + Math.floor(random.next() * 1500)] = Math.floor(256 * random.next());
      try {
        const labels = await importLabels(changed, 'x.zip');
        for (const { objects, unpack } of labels.images) {
          unpack();
          for (const box of objects(SIZE)) assert.ok(box.x2 > box.x1 && box.y2 > box.y1);
        }
      } catch (error) {
        assert.instance(error, UserError, (error as Error).stack);
        assert.match((error as Error).message, /^x\.zip: [^\n]+$/);
      }
    }
  }
});

test('the EXIF orientation of a photograph', async () => {
  const picture = sharp({ create: { width: 8, height: 6, channels: 3, background: '#888' } });
  for (const orientation of [1, 3, 6, 8]) {
    const bytes = await picture.clone().jpeg().withMetadata({ orientation }).toBuffer();
    assert.is(await orientationOf(new Blob([new Uint8Array(bytes)])), orientation);
  }
  assert.is(await orientationOf(new Blob([new Uint8Array(await picture.clone().jpeg().toBuffer())])), 1);
  assert.is(await orientationOf(new Blob([new Uint8Array(await picture.png().toBuffer())])), 1);
  assert.is(await orientationOf(new Blob([])), 1);
});

test.run();
