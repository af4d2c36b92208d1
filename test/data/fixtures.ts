/** Small data sets for the tests, written to a temporary folder. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';

/** A data set of real photographs, or undefined with a printed line where the folder is not there. */
export function realData(name: string): string | undefined {
  const folder = join(process.env.RCNN_DATA ?? fileURLToPath(new URL('../../../shared/data', import.meta.url)), name);
  if (existsSync(folder)) return folder;
  console.log(`skipped: no ${name} data set; set RCNN_DATA to the folder that holds it`);
  return undefined;
}

const folders: string[] = [];
process.on('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A new empty folder, removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rcnn-test-'));
  folders.push(folder);
  return folder;
}

export interface VocObjectSpec {
  name: string;
  /** xmin, ymin, xmax, ymax as the file has them. */
  box: [number, number, number, number];
  difficult?: boolean;
}

export const vocXml = (objects: VocObjectSpec[], { width = 40, height = 30, filename = 'other.jpg' } = {}): string =>
  `<annotation><filename>${filename}</filename><size><width>${width}</width><height>${height}</height><depth>3</depth></size>${objects
    .map(
      ({ name, box, difficult = false }) =>
        `<object><name>${name}</name><difficult>${Number(difficult)}</difficult><bndbox><xmin>${box[0]}</xmin><ymin>${box[1]}</ymin><xmax>${box[2]}</xmax><ymax>${box[3]}</ymax></bndbox></object>`,
    )
    .join('')}</annotation>`;

export interface VocFiles {
  splits?: Record<string, string>;
  annotations?: Record<string, string>;
  /** File names in JPEGImages; each is 40x30, its left half red and its right half blue. */
  images?: string[];
}

/** Writes a data set in VOC layout; unless given: one image 'a' with one box of class 'cat', in split 'train'. */
export async function writeVoc({
  splits = { train: 'a\n' },
  annotations = { a: vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]) },
  images = ['a.jpg'],
}: VocFiles = {}): Promise<string> {
  const root = temporaryFolder();
  for (const folder of ['Annotations', 'JPEGImages', 'ImageSets/Main'])
    mkdirSync(join(root, folder), { recursive: true });
  for (const [split, text] of Object.entries(splits)) writeFileSync(join(root, 'ImageSets/Main', `${split}.txt`), text);
  for (const [id, xml] of Object.entries(annotations)) writeFileSync(join(root, 'Annotations', `${id}.xml`), xml);
  for (const image of images) await writeImage(join(root, 'JPEGImages', image), 40, 30);
  return root;
}

export interface CocoFiles {
  images?: object[];
  categories?: object[];
  annotations?: object[];
  /** Files in the folder of images, each 40x30 as in `writeVoc`. */
  files?: string[];
}

/**
 * Writes a folder `images` and a file `instances.json` in COCO's format, and returns where they are; unless given: an image 'a.jpg'
 * of id 7 with one object of category 18, 'cat'.
 */
export async function writeCoco({
  images = [{ id: 7, file_name: 'a.jpg', width: 40, height: 30 }],
  categories = [{ id: 18, name: 'cat' }],
  annotations = [{ id: 1, image_id: 7, category_id: 18, bbox: [2, 3, 18, 12], area: 100, iscrowd: 0 }],
  files = ['a.jpg'],
}: CocoFiles = {}): Promise<{ folder: string; path: string; spec: string }> {
  const root = temporaryFolder();
  const [folder, path] = [join(root, 'images'), join(root, 'instances.json')];
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    await writeImage(join(folder, file), 40, 30);
  }
  writeFileSync(path, JSON.stringify({ images, categories, annotations }));
  return { folder, path, spec: `coco:${folder},${path}` };
}

/** Writes so many pictures a folder: 40x30, those of a folder `red` or `blue` of that colour, others half and half. */
export async function writeClasses(folders: Record<string, number>): Promise<string> {
  const root = temporaryFolder();
  for (const [folder, count] of Object.entries(folders)) {
    mkdirSync(join(root, folder), { recursive: true });
    const red = { red: 40, blue: 0 }[basename(folder)] ?? 20;
    for (let i = 0; i < count; i++) await writeImage(join(root, folder, `${i}.png`), 40, 30, red);
  }
  return root;
}

/** The message of the UserError that a promise must end in. */
export async function userError(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, UserError);
    return (error as Error).message;
  }
  return assert.unreachable('no error') as never;
}

/** A picture whose first `red` columns are red, the others blue. */
export async function writeImage(path: string, width: number, height: number, red = width / 2): Promise<void> {
  const rgb = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) rgb[3 * i + (i % width < red ? 0 : 2)] = 255;
  await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(path);
}
