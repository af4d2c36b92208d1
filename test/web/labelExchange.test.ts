/** What the page exports is read by `rcnn` with the same boxes, and what it exported as COCO by the page itself. */
import { unzipSync } from 'fflate';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LABEL_FORMATS, type LabelFormat } from '../../src/index.ts';
import { openDataset } from '../../src/node.ts';
import { splitsOf } from '../../src/data/registry.ts';
import { exportProject, importCoco } from '../../web/label/exchange.ts';
import { addBoxes, addClass, addPictures, EMPTY_PROJECT, type Project, setEmpty } from '../../web/label/project.ts';
import { orientationOf } from '../../web/label/pictureFile.ts';
import { labelScene } from '../../scripts/labelScenes.ts';
import { temporaryFolder } from '../data/fixtures.ts';
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

test('what was exported as COCO is read again', async () => {
  const zip = await exported('coco');
  const { classes, pictures } = importCoco(zip, 'labels.zip');
  assert.equal(classes, ['square', 'disc']);
  assert.equal(
    pictures.map(({ name, boxes }) => ({ name, boxes })),
    [...scenes, { ...labelScene(5), objects: [] }].map(({ name, objects }) => ({
      name,
      boxes: objects.map(({ shape, ...edges }) => ({ className: shape, ...edges })),
    })),
  );
  assert.equal(pictures[3]!.bytes, new Uint8Array(scenes[3]!.png));
});

test('a file that is no such data set is one line', async () => {
  const zip = await exported('coco');
  assert.throws(() => importCoco(zip.subarray(0, 1000), 'labels.zip'), /^labels\.zip: is not a zip file/);
  const voc = await exported('voc');
  assert.throws(() => importCoco(voc, 'labels.zip'), /^labels\.zip: holds no COCO file/);
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
