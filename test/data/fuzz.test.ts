/** Mutated annotation files, lists, pictures and files of a run: what is read is right, or the error is one line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from 'bmp-ts';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkImage, readImage } from '../../src/data/images.ts';
import { readProposalFile } from '../../src/data/proposalFiles.ts';
import { openDataset } from '../../src/data/registry.ts';
import type { Dataset } from '../../src/data/types.ts';
import { UserError } from '../../src/engine/errors.ts';
import { problemOf } from '../../src/run/config/configSchema.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { METRICS_LINE, readLines, VALIDATION_LINE } from '../../src/run/storage/lines.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { temporaryFolder, vocXml, writeCoco, writeVoc } from './fixtures.ts';
import { writeFiles } from './formats/files.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() & 0x7fffffff);
console.log(`fuzz: FUZZ_SEED=${seed}`);

/** What tools, editors and broken copies leave in place of a part of a file. */
const PIECES = [
  '',
  '"',
  '<',
  '>',
  '</',
  '&a;',
  '[',
  '{',
  '}',
  ',',
  '-1',
  '1e999',
  'NaN',
  'null',
  '\u0000',
  '\u001b[31m',
  'é',
  '../',
];
PIECES.push('<__proto__>', '"__proto__":', '99999999999999999999', '\n', '\ufeff', '<![CDATA[', '<!--', '%', '\ud800');

/** Changes in turn: at a share of the file so many bytes are replaced by a piece, or by those of another place. */
const mutations = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 0, max: 12 }),
    piece: fc.oneof(
      fc.constantFrom(...PIECES).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

function mutate(bytes: Buffer, changes: readonly { at: number; length: number; piece: Buffer }[]): Buffer {
  return changes.reduce((before, { at, length, piece }) => {
    const start = Math.floor(at * before.length);
    return Buffer.concat([before.subarray(0, start), piece, before.subarray(start + length)]);
  }, bytes);
}

/** One line without control characters. */
function assertLine(message: string): void {
  assert.not.match(message, /[\u0000-\u001f\u007f-\u009f]/);
}

function assertRight({ classes, samples, notes }: Dataset): void {
  notes.forEach(assertLine);
  for (const { width, height, boxes } of samples) {
    for (const { x1, y1, x2, y2, classIndex } of boxes) {
      assert.ok(0 <= x1 && x1 <= x2 && x2 <= width - 1, `${x1} ${x2} in ${width}`);
      assert.ok(0 <= y1 && y1 <= y2 && y2 <= height - 1, `${y1} ${y2} in ${height}`);
      assert.ok(Number.isInteger(classIndex) && classIndex >= 1 && classIndex < classes.length);
    }
  }
}

async function rightOrLine(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    assertLine(error.message);
  }
}

/** Some 16,000 in all; 4000 of safetensors (test/engine/safetensors.test.ts) come on top. */
const RUNS = { seed, numRuns: 900 };

/** Opens what a mutated file leaves of a data set, as training does or as `rcnn check` does. */
async function assertOpens(spec: string, split: string, collect: boolean): Promise<void> {
  const problems: string[] = [];
  const options = collect ? { onProblem: (problem: string) => void problems.push(problem) } : {};
  await rightOrLine(async () => assertRight(await openDataset(spec, { split, ...options })));
  problems.forEach(assertLine);
}

/** Mutates a file `numRuns` times; it is whole again afterwards. */
async function fuzz(path: string, run: (collect: boolean) => Promise<void>, numRuns = RUNS.numRuns): Promise<void> {
  const whole = readFileSync(path);
  await fc.assert(
    fc.asyncProperty(mutations, fc.boolean(), async (changes, collect) => {
      writeFileSync(path, mutate(whole, changes));
      await run(collect);
    }),
    { ...RUNS, numRuns },
  );
  writeFileSync(path, whole);
}

test('VOC: an annotation file and a list', async () => {
  const annotation = vocXml([
    { name: 'cat', box: [3, 4, 20, 15] },
    { name: 'dog', box: [5, 5, 9, 9], difficult: true },
  ]);
  const root = await writeVoc({ annotations: { a: annotation } });
  for (const path of [join(root, 'Annotations', 'a.xml'), join(root, 'ImageSets', 'Main', 'train.txt')]) {
    await fuzz(path, (collect) => assertOpens(root, 'train', collect));
  }
});

test('COCO', async () => {
  const { path, spec } = await writeCoco({
    annotations: [
      {
        id: 1,
        image_id: 7,
        category_id: 18,
        bbox: [2, 3, 18, 12],
        area: 100,
        iscrowd: 0,
        segmentation: [[2, 3, 20, 15, 4, 5]],
      },
      { id: 2, image_id: 7, category_id: 18, bbox: null, segmentation: { size: [30, 40], counts: [100, 5, 1095] } },
    ],
  });
  await fuzz(path, (collect) => assertOpens(spec, 'all', collect), 2 * RUNS.numRuns);
});

const quoted = (value: object): string => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
const rectangle = { name: 'rect', x: 2, y: 3, width: 18, height: 12 };
const circle = { name: 'circle', cx: 20, cy: 15, r: 5 };

/** A small data set of each other format: the format's name, files, and which of them are mutated. */
const DATA_SETS: Record<string, { format: string; split?: string; files: Record<string, string | object> }> = {
  'YOLO: data.yaml': {
    format: 'yolo',
    split: 'train',
    files: {
      'data.yaml': 'path: .\ntrain: images\nval: [images]\nnc: 2\nnames:\n  0: cat\n  1: dog\n',
      'images/a.jpg': '',
      'labels/a.txt': '0 0.275 0.3 0.45 0.4\n',
    },
  },
  'YOLO: labels': {
    format: 'yolo',
    split: 'train',
    files: {
      'labels/train/a.txt': '0 0.275000 0.300000 0.450000 0.400000\n1 0.1 0.1 0.5 0.1 0.5 0.5\n',
      'images/train/a.jpg': '',
      'data.yaml': 'train: images/train\nnames: [cat, dog]\n',
    },
  },
  labelme: {
    format: 'labelme',
    files: {
      'a.json': {
        version: '5.4.1',
        shapes: [
          { label: 'cat', shape_type: 'rectangle', points: [[2, 3], [19, 14]] }, // prettier-ignore
          { label: 'dog', shape_type: 'circle', points: [[20, 15], [23, 19]] }, // prettier-ignore
        ],
        imagePath: 'a.jpg',
        imageHeight: 30,
        imageWidth: 40,
      },
      'a.jpg': '',
    },
  },
  CVAT: {
    format: 'cvat',
    files: {
      'annotations.xml': `<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><labels><label><name>cat</name></label></labels></task></meta><image id="0" name="a.jpg" width="40" height="30"><box label="cat" xtl="2" ytl="3" xbr="20" ybr="15" rotation="30"></box><polygon label="cat" points="2.00,3.00;20.00,3.00;4.00,15.00"/></image></annotations>`,
      'images/a.jpg': '',
    },
  },
  'Label Studio': {
    format: 'labelstudio',
    files: {
      'project.json': [
        {
          id: 1,
          data: { image: '/data/upload/3/0a1b2c3d-a.jpg' },
          annotations: [
            {
              result: [
                {
                  type: 'rectanglelabels',
                  value: { x: 5, y: 10, width: 45, height: 40, rotation: 10, rectanglelabels: ['cat'] },
                  original_width: 40,
                  original_height: 30,
                },
              ],
            },
          ],
        },
      ],
      'a.jpg': '',
    },
  },
  'VIA: JSON': {
    format: 'via',
    files: {
      'via.json': {
        'a.jpg1234': {
          filename: 'a.jpg',
          size: 1234,
          regions: [
            { shape_attributes: rectangle, region_attributes: { class: 'cat' } },
            { shape_attributes: circle, region_attributes: { class: { dog: true } } },
          ],
          file_attributes: {},
        },
      },
      'a.jpg': '',
    },
  },
  'VIA 3': {
    format: 'via',
    files: {
      'project.json': {
        project: { pid: '1', data_format_version: '3.1.1', vid_list: ['1'] },
        attribute: { '1': { aname: 'class', type: 4, options: { '0': 'cat', '1': 'dog' } } },
        file: { '1': { fid: '1', fname: 'a.jpg', type: 2, loc: 1, src: '' } },
        view: { '1': { fid_list: ['1'] } },
        metadata: {
          '1_a': { vid: '1', flg: 0, z: [], xy: [2, 2, 3, 18, 12], av: { '1': '0' } },
          '1_b': { vid: '1', flg: 0, z: [], xy: [7, 2, 3, 20, 3, 4, 15], av: { '1': '1' } },
        },
      },
      'a.jpg': '',
    },
  },
  'VIA: CSV': {
    format: 'via',
    files: {
      'via.csv': `filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\na.jpg,1234,"{}",1,0,${quoted(rectangle)},${quoted({ class: 'cat' })}\n`,
      'a.jpg': '',
    },
  },
  CSV: {
    format: 'csv',
    files: {
      'annotations.csv': 'a.jpg,2,3,20,15,cat\na.jpg,0,0,40,30,dog\n"b.jpg",,,,,\n',
      'a.jpg': '',
      'b.jpg': '',
    },
  },
};

for (const [name, { format, split = 'all', files }] of Object.entries(DATA_SETS)) {
  test(name, async () => {
    const root = await writeFiles(files);
    assert.ok((await openDataset(root, { split })).samples.length > 0); // whole, it is read
    await fuzz(join(root, Object.keys(files)[0]!), (collect) => assertOpens(`${format}:${root}`, split, collect));
  });
}

test('proposals of other methods', async () => {
  const path = join(temporaryFolder(), 'proposals.csv');
  writeFileSync(path, 'image,x1,y1,x2,y2,score\na,1,2,30.5,20,0.5\na,0,0,39,29,-1e3\n');
  const { samples } = await openDataset(await writeVoc(), { split: 'train' });
  await fuzz(path, () =>
    rightOrLine(async () => {
      const [boxes] = await readProposalFile(path, samples);
      assert.ok(boxes!.length > 0);
      for (const [x1, y1, x2, y2] of boxes!) {
        assert.ok(0 <= x1 && x1 <= x2 && x2 < 40 && 0 <= y1 && y1 <= y2 && y2 < 30, [x1, y1, x2, y2].join());
      }
    }),
  );
});

test('config.json, metrics.jsonl and validation.jsonl of a run', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify((await configureRun({ preset: 'demo' })).config, null, 2));
  await fuzz(
    path,
    () =>
      rightOrLine(async () => {
        const config = new RunDirectory(folder).readConfig();
        assert.is(problemOf(config), null);
        assert.ok(config.detector.classes.length > 1 && config.training.steps > 0);
      }),
    2 * RUNS.numRuns,
  );
  for (const [name, record, line] of [
    ['metrics.jsonl', METRICS_LINE, { lr: 0.01, loss: 2.5, rpnScore: 0.5, seconds: 1.5 }],
    ['validation.jsonl', VALIDATION_LINE, { mAP: 0.5, ap: { cat: 0.5, dog: null }, loss: 1, images: 3, seconds: 1 }],
  ] as const) {
    const lines = join(folder, name);
    writeFileSync(lines, [10, 20, 30].map((step) => `${JSON.stringify({ step, ...line })}\n`).join(''));
    await fuzz(lines, async () => {
      for (const { step, loss } of readLines<{ step: number; loss: number }>(lines, record)) {
        assert.ok(Number.isSafeInteger(step) && step >= 0 && Number.isFinite(loss));
      }
    });
  }
});

test('pictures', async () => {
  const root = await writeVoc({ images: ['a.jpg', 'b.png', 'c.gif', 'd.webp', 'e.tif'] });
  const bitmap = encode({ data: Buffer.alloc(4 * 40 * 30, 99), width: 40, height: 30, bitPP: 24 }).data;
  writeFileSync(join(root, 'JPEGImages', 'f.bmp'), bitmap);
  for (const name of ['a.jpg', 'b.png', 'c.gif', 'd.webp', 'e.tif', 'f.bmp']) {
    const path = join(root, 'JPEGImages', name);
    await fuzz(
      path,
      () =>
        rightOrLine(async () => {
          const { width, height } = await checkImage(path);
          const picture = await readImage(path);
          assert.equal([picture.width, picture.height], [width, height]);
          assert.is(picture.rgba.length, 4 * width * height);
        }),
      RUNS.numRuns / 4,
    );
  }
});

test.run();
