/** A folder of hostile files, of everything that a command reads whole, and of copies in which one file is a hostile one. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import sharp from 'sharp';
import { serializeSafetensors } from '../../src/engine/safetensors.ts';
import { configurePretrain } from '../../src/run/config/pretrainConfig.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';

const DEPTH = 100_000;
/** More than is read of any file; it takes no room on the disk. */
const HUGE_BYTES = 40e9;

/** Files by name: what they hold. */
const CONTENTS: Readonly<Record<string, string | Buffer>> = {
  empty: '',
  'deep-list': '['.repeat(DEPTH) + ']'.repeat(DEPTH),
  'deep-object': '{"a":'.repeat(DEPTH) + '1' + '}'.repeat(DEPTH),
  'deep-elements': '<a>'.repeat(DEPTH) + '</a>'.repeat(DEPTH),
  null: 'null',
  five: '5',
  list: '[]',
  object: '{}',
  nulls: '[null, {"a": null}, [], 5]',
  'object-of-nulls': '{"images": null, "annotations": [null], "categories": {}, "shapes": 5, "format": []}',
  text: 'hello\n',
  binary: Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + (i >> 3) * 31) & 255)),
  zeros: Buffer.alloc(4096),
  line: 'a,'.repeat(500_000),
  'red\u001b[31m\n': '{"\u001b[31m": 1}',
};

/** Writes them into `folder`; returns their names. What the system does not have (pipes, devices) is left out. */
export function writeHostileFiles(folder: string): string[] {
  fs.mkdirSync(folder, { recursive: true });
  const at = (name: string): string => path.join(folder, name);
  for (const [name, content] of Object.entries(CONTENTS)) fs.writeFileSync(at(name), content);
  fs.mkdirSync(at('folder'));
  fs.writeFileSync(at('huge'), '');
  fs.truncateSync(at('huge'), HUGE_BYTES);
  const links = { loop: 'loop', dangling: 'not-there', 'link-to-folder': 'folder' };
  for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, at(name));
  if (process.platform === 'win32') return fs.readdirSync(folder);
  for (const device of ['zero', 'null', 'full']) fs.symlinkSync(`/dev/${device}`, at(`dev-${device}`));
  execFileSync('mkfifo', [at('pipe')]);
  return fs.readdirSync(folder);
}

const PICTURE = { create: { width: 40, height: 30, channels: 3 as const, background: '#c40' } };

const VOC = `<annotation><filename>a.png</filename><size><width>40</width><height>30</height></size><object><name>cat</name>
  <bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>15</ymax></bndbox></object></annotation>`;

const COCO = {
  images: [{ id: 1, file_name: 'a.png', width: 40, height: 30 }],
  categories: [{ id: 1, name: 'cat' }],
  annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [2, 3, 18, 12], area: 216, iscrowd: 0 }],
};

const rectangle = { name: 'rect', x: 2, y: 3, width: 18, height: 12 };

/** A data set of each format: its files, of which the first ones are read for the annotations. */
const DATA: Readonly<Record<string, { read: readonly string[]; files: Readonly<Record<string, string | object>> }>> = {
  voc: {
    read: ['Annotations/a.xml', 'ImageSets/Main/train.txt', 'JPEGImages/a.png'],
    files: {
      'Annotations/a.xml': VOC,
      'ImageSets/Main/train.txt': 'a\n',
      'ImageSets/Main/test.txt': 'a\n',
      'JPEGImages/a.png': '',
    },
  },
  coco: { read: ['ann.json', 'images/a.png'], files: { 'ann.json': COCO, 'images/a.png': '' } },
  yolo: {
    read: ['data.yaml', 'labels/train/a.txt', 'images/train/a.png'],
    files: {
      'data.yaml': 'train: images/train\nval: images/train\nnames: [cat]\n',
      'labels/train/a.txt': '0 0.275 0.3 0.45 0.4\n',
      'images/train/a.png': '',
    },
  },
  labelme: {
    read: ['a.json'],
    files: {
      'a.json': {
        shapes: [{ label: 'cat', shape_type: 'polygon', points: [[2, 3], [19, 14], [4, 9]] }], // prettier-ignore
        imagePath: 'a.png',
      },
      'a.png': '',
    },
  },
  cvat: {
    read: ['annotations.xml'],
    files: {
      'annotations.xml':
        '<annotations><version>1.1</version><image id="0" name="a.png" width="40" height="30"><box label="cat" xtl="2" ytl="3" xbr="20" ybr="15"></box></image></annotations>',
      'images/a.png': '',
    },
  },
  labelstudio: {
    read: ['project.json'],
    files: {
      'project.json': [
        {
          id: 1,
          data: { image: '/data/upload/a.png' },
          annotations: [{ result: [{ value: { x: 5, y: 10, width: 45, height: 40, rectanglelabels: ['cat'] } }] }],
        },
      ],
      'a.png': '',
    },
  },
  via: {
    read: ['via.json'],
    files: {
      'via.json': {
        'a.png1': {
          filename: 'a.png',
          regions: [{ shape_attributes: rectangle, region_attributes: { class: 'cat' } }],
        },
      },
      'a.png': '',
    },
  },
  csv: {
    read: ['annotations.csv', 'classes.csv'],
    files: { 'annotations.csv': 'a.png,2,3,20,15,cat\n', 'classes.csv': 'cat,0\n', 'a.png': '' },
  },
};

async function writeFiles(folder: string, files: Readonly<Record<string, string | object | Buffer>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (name.endsWith('.png')) await sharp(PICTURE).toFile(file);
    else if (typeof content === 'string' || Buffer.isBuffer(content)) fs.writeFileSync(file, content);
    else fs.writeFileSync(file, JSON.stringify(content));
  }
}

/** A copy of a folder in which one file is a link to a hostile one. */
function copyWith(folder: string, copy: string, file: string, hostile: string): void {
  fs.cpSync(folder, copy, { recursive: true });
  const place = path.join(copy, file);
  fs.rmSync(place, { force: true });
  fs.symlinkSync(path.relative(path.dirname(place), hostile), place);
}

export interface HostileFolder {
  /** Names in `hostile/`. */
  hostile: readonly string[];
  /** `--data` specs of data sets in which one file is hostile. */
  data: readonly string[];
  /** Runs in which one file is hostile: the folder, and which file. */
  runs: readonly { folder: string; file: string }[];
}

/** The files of a run that `rcnn` reads. */
const RUN_FILES = ['config.json', 'checkpoint.safetensors', 'metrics.jsonl', 'validation.jsonl', 'run.lock'];

/**
 * Writes into `root`:
 *   hostile/         hostile files
 *   good/            what commands read: data sets, a run, a pre-training, weights, results, a picture
 *   data/, run/      copies with a hostile file
 *
 * @param train makes a trained run in a folder; without it, the run has a configuration and an empty checkpoint
 */
export async function writeHostileFolder(
  root: string,
  train?: (folder: string) => Promise<void>,
): Promise<HostileFolder> {
  const at = (...names: string[]): string => path.join(root, ...names);
  const hostile = writeHostileFiles(at('hostile'));
  const data: string[] = [];
  for (const [format, { read, files }] of Object.entries(DATA)) {
    await writeFiles(at('good', format), files);
    for (const file of read) {
      for (const name of hostile) {
        const copy = path.join('data', format, path.basename(file), name.replace(/\W+/g, '-'));
        copyWith(at('good', format), at(copy), file, at('hostile', name));
        data.push(`${format}:${copy}`);
      }
    }
  }
  const weights = { 'conv1.weight': { shape: [16, 3, 5, 5], data: new Float32Array(1200) } };
  await writeFiles(at('good'), {
    'photo.png': '',
    'weights.safetensors': Buffer.from(serializeSafetensors(weights)),
    'found.json': '[]',
    'foreign/config.json': { model_type: 'bert' },
    'proposals.csv': 'image,x1,y1,x2,y2,score\na,2,3,19,14,1\n',
    'classes/red/1.png': '',
    'classes/red/2.png': '',
    'classes/blue/1.png': '',
    'classes/blue/2.png': '',
  });
  const checkpoint = Buffer.from(serializeSafetensors({}));
  if (train) await train(at('good', 'run'));
  else {
    const { config } = await configureRun({ preset: 'demo' });
    await writeFiles(at('good', 'run'), { 'config.json': config, 'checkpoint.safetensors': checkpoint });
  }
  const pretrained = await configurePretrain({ data: `folder:${at('good', 'classes')}` });
  await writeFiles(at('good', 'pretrained'), { 'config.json': pretrained.config });
  const runs: { folder: string; file: string }[] = [];
  for (const file of RUN_FILES) {
    for (const name of hostile) {
      const folder = path.join('run', file, name.replace(/\W+/g, '-'));
      copyWith(at('good', 'run'), at(folder), file, at('hostile', name));
      runs.push({ folder, file });
    }
  }
  return { hostile: hostile.map((name) => path.join('hostile', name)), data, runs };
}
