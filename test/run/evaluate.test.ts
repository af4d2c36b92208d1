/** What an evaluation reports by each metric, and detections in files. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AnnotatedBox, Dataset } from '../../src/data/types.ts';
import { openDataset } from '../../src/data/registry.ts';
import type { Detection } from '../../src/eval/voc.ts';
import { detectionWriter, readDetectionFile } from '../../src/run/evaluation/detectionFiles.ts';
import { evaluateDetections, type Metric } from '../../src/run/evaluation/evaluate.ts';
import { temporaryFolder, userError, vocXml, writeCoco, writeVoc } from '../data/fixtures.ts';

const box = { x1: 2, y1: 3, x2: 19, y2: 14, classIndex: 1 };
const datasetOf = (boxes: AnnotatedBox[]): Dataset => ({
  name: 'x',
  classes: ['__background__', 'cat', 'dog'],
  samples: [{ id: 'a', width: 40, height: 30, boxes, load: () => assert.unreachable() as never }],
  flippable: true,
  notes: [],
});
const report = (boxes: AnnotatedBox[], detections: Detection[], metric: Metric) =>
  evaluateDetections([detections], datasetOf(boxes), metric, performance.now());

test('the form of a report; COCO adds its twelve numbers', () => {
  const found = [{ ...box, score: 0.9 }];
  for (const metric of ['voc07', 'voc10', 'coco'] as const) {
    const { coco, ...rest } = report([{ ...box, difficult: false }], found, metric);
    assert.equal(Object.keys(rest), ['metric', 'mAP', 'ap', 'images', 'seconds']);
    assert.equal([rest.metric, rest.mAP, rest.ap, rest.images], [metric, 1, { cat: 1, dog: null }, 1]);
    assert.equal([coco?.AP, coco?.APl, coco?.AR1], metric === 'coco' ? [1, -1, 1] : [undefined, undefined, undefined]);
  }
});

test('a mean of nothing is NaN by every metric: null in JSON', () => {
  for (const metric of ['voc07', 'voc10', 'coco'] as const) {
    const { mAP, ap } = report([], [{ ...box, score: 0.9 }], metric);
    assert.ok(Number.isNaN(mAP), metric);
    assert.equal(ap, { cat: null, dog: null });
  }
});

test('crowds and difficult objects count neither way, by every metric', () => {
  const far = { x1: 25, y1: 3, x2: 35, y2: 20, classIndex: 1 };
  const found = [
    { ...far, score: 0.95 },
    { ...far, x1: 26, score: 0.9 },
    { ...box, score: 0.8 },
  ];
  for (const metric of ['voc07', 'voc10', 'coco'] as const) {
    for (const more of [{ difficult: true }, { difficult: false, crowd: true }]) {
      assert.is(
        report(
          [
            { ...box, difficult: false },
            { ...far, ...more },
          ],
          found,
          metric,
        ).mAP,
        1,
        metric,
      );
    }
    assert.ok(report([{ ...box, difficult: false }], found, metric).mAP < 1, metric);
  }
});

const coco = async () => {
  const image = (id: number, name: string) => ({ id, file_name: name, width: 40, height: 30 });
  const { spec } = await writeCoco({
    images: [image(42, 'b.jpg'), image(7, 'a.jpg')],
    files: ['a.jpg', 'b.jpg'],
    categories: [
      { id: 18, name: 'cat' },
      { id: 3, name: 'dog' },
    ],
  });
  return openDataset(spec, { split: 'all' });
};

test('detections as COCO has results, with the ids of the annotation file, and back', async () => {
  const dataset = await coco();
  const path = join(temporaryFolder(), 'found.json');
  const detections = [[{ ...box, score: 0.75 }], [{ ...box, x1: 2.5, classIndex: 2, score: 0.5 }]];
  detectionWriter(path, dataset)(detections);
  assert.equal(JSON.parse(readFileSync(path, 'utf8')), [
    { image_id: 7, category_id: 18, bbox: [2, 3, 18, 12], score: 0.75 },
    { image_id: 42, category_id: 3, bbox: [2.5, 3, 17.5, 12], score: 0.5 },
  ]);
  assert.equal(readDetectionFile(path, dataset), detections);
  detectionWriter(path, dataset)([[], []]);
  assert.equal(readDetectionFile(path, dataset), [[], []]);
});

test('without ids an image is known by its name and a class by its own', async () => {
  const root = await writeVoc({
    annotations: {
      a: vocXml([
        { name: 'cat', box: [3, 4, 20, 15] },
        { name: 'ant', box: [3, 4, 20, 15] },
      ]),
    },
  });
  const path = join(temporaryFolder(), 'found.json');
  const asModel = await openDataset(`voc:${root}`, { split: 'train', classes: ['cat', 'ant'] });
  detectionWriter(path, asModel)([[{ ...box, score: 1 }]]);
  assert.equal(JSON.parse(readFileSync(path, 'utf8')), [
    { image_id: 'a', category_id: 'cat', bbox: [2, 3, 18, 12], score: 1 },
  ]);
  // The order of the classes found in the data is another: names hold.
  const found = readDetectionFile(path, await openDataset(`voc:${root}`, { split: 'train' }));
  assert.equal(found, [[{ ...box, classIndex: 2, score: 1 }]]);
});

test('a class that the annotation file lacks is left out of the results', async () => {
  const { spec } = await writeCoco();
  const dataset = await openDataset(spec, { split: 'all', classes: ['unicorn', 'cat'] });
  const path = join(temporaryFolder(), 'found.json');
  detectionWriter(
    path,
    dataset,
  )([
    [
      { ...box, score: 1 },
      { ...box, classIndex: 2, score: 0.5 },
    ],
  ]);
  assert.equal(
    JSON.parse(readFileSync(path, 'utf8')).map(({ category_id }: { category_id: number }) => category_id),
    [18],
  );
});

test('files of detections that do not fit', async () => {
  const dataset = await coco();
  const path = join(temporaryFolder(), 'found.json');
  const result = { image_id: 7, category_id: 18, bbox: [2, 3, 18, 12], score: 1 };
  const faults: [content: unknown, text: RegExp][] = [
    [{ images: [] }, /: Invalid input: expected array.*COCO's format of results/],
    [[{ ...result, score: '1' }], /: 0\.score: /],
    [[result, { ...result, image_id: 8 }], /: result 2: image 8 is not in the data; /],
    [[result, { ...result, category_id: 1 }], /: result 2: category 1 is not in the data; /],
  ];
  for (const [content, text] of faults) {
    writeFileSync(path, JSON.stringify(content));
    const message = await userError((async () => readDetectionFile(path, dataset))());
    assert.ok(message.startsWith(path) && text.test(message), message);
  }
  const twice = { ...dataset, samples: [dataset.samples[0]!, dataset.samples[0]!] };
  assert.match(await userError((async () => detectionWriter(path, twice))()), /^--data: two images have the id 7/);
});

test.run();
