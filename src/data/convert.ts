/** Writes a data set in another format: images unchanged, boxes in the form of that format. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { assertPackages } from '../engine/node/optionalPackages.ts';
import { readRegularFileAsync } from '../engine/node/readFile.ts';
import { makeTemporaryFolder } from '../engine/node/temporaries.ts';
import { makeFolder, unwritable } from '../engine/node/writeFile.ts';
import { eachAtOnce } from './atOnce.ts';
import type { FormatWriter, WrittenImage, WrittenSplit } from './format.ts';
import { folderExists } from './imageFiles.ts';
import { stemOf } from './imageNames.ts';
import { encodePng, MAX_IMAGE_BYTES } from './images.ts';
import type { Dataset, Sample } from './types.ts';

export interface ConvertOptions {
  /** Makes symbolic links to the images instead of copies. */
  link?: boolean;
  onImage?: () => void;
}

/** Throws where `folder` is anything but a new or an empty one. */
export function assertNewFolder(folder: string): void {
  if (!existsSync(folder)) return;
  if (!folderExists(folder)) throw new UserError(`${folder}: there is a file of this name; choose another folder`);
  if (readdirSync(folder).length > 0) throw new UserError(`${folder}: is not empty; choose a new folder`);
}

/**
 * Writes the splits into a new or empty folder, all or nothing. `split` is undefined for data that is not divided. Returns lines
 * about what the format cannot hold.
 */
export async function convert(
  splits: readonly { split: string | undefined; dataset: Dataset }[],
  writer: FormatWriter,
  folder: string,
  { link = false, onImage }: ConvertOptions = {},
): Promise<string[]> {
  const named = withNames(splits);
  const { files, lost } = writer.files(named, splits[0]!.dataset.classes.slice(1));
  const images = named.flatMap(({ split, images }) =>
    images.map((image) => ({ ...image, path: writer.imagePath(image, split) })),
  );
  const once = [...new Map(images.map((image) => [image.path, image])).values()];
  const target = resolve(folder);
  assertNewFolder(target);
  if (once.some(({ sample }) => sample.file === undefined)) assertPackages('sharp');
  let partial: string | undefined;
  try {
    makeFolder(dirname(target));
    partial = makeTemporaryFolder(target);
    const at = (path: string): string => {
      const full = join(partial!, path);
      mkdirSync(dirname(full), { recursive: true });
      return full;
    };
    for (const [path, text] of files) writeFileSync(at(path), text);
    await eachAtOnce(once, IMAGES_AT_ONCE, async ({ sample, path }) => {
      await placeImage(sample, at(path), link);
      onImage?.();
    });
    if (existsSync(target)) rmdirSync(target);
    renameSync(partial, target);
  } catch (error) {
    if (partial !== undefined) rmSync(partial, { recursive: true, force: true });
    if (error instanceof UserError || (error as NodeJS.ErrnoException).code === undefined) throw error;
    throw unwritable(folder, error as NodeJS.ErrnoException, 'run the command again');
  }
  return lost;
}

const IMAGES_AT_ONCE = 8;

async function placeImage(sample: Sample, path: string, link: boolean): Promise<void> {
  if (sample.file === undefined) return writeFileSync(path, await encodePng(await sample.load()), { flag: 'wx' });
  if (link) return symlinkSync(resolve(sample.file), path);
  writeFileSync(path, await readRegularFileAsync(sample.file, { maxBytes: MAX_IMAGE_BYTES }), { flag: 'wx' });
}

/** A name for each image: its sample's, made valid on every system, with a number if two would be the same. */
function withNames(splits: readonly { split: string | undefined; dataset: Dataset }[]): WrittenSplit[] {
  const taken = new Set<string>();
  const byImage = new Map<string, string>();
  return splits.map(({ split, dataset }) => ({
    split: split === undefined ? undefined : safe(split),
    images: dataset.samples.map((sample): WrittenImage => {
      const source = sample.file === undefined ? `${split}\u0000${sample.id}` : resolve(sample.file);
      let name = byImage.get(source);
      if (name === undefined) {
        const wanted = safe(sample.id);
        name = wanted;
        for (let i = 2; taken.has(key(name)); i++) name = `${wanted}-${i}`;
        taken.add(key(name));
        byImage.set(source, name);
      }
      return { sample, name, extension: sample.file?.slice(stemOf(sample.file).length) || '.png' };
    }),
  }));
}

/** Some file systems do not distinguish the case of letters, or forms of accents. */
const key = (name: string): string => name.normalize('NFC').toLowerCase();

/** Removes characters that some systems or lists cannot hold, leading dots, and parts that would lead out of a folder. */
function safe(id: string): string {
  const parts = id
    .split(/[/\\]+/)
    .map((part) =>
      part
        .replace(/[\u0000-\u001f\u007f-\u009f<>:"'|?*\u2028\u2029]/g, '_')
        .trim()
        .replace(/^\.+|[. ]+$/g, '_'),
    )
    .filter((part) => part !== '' && part !== '_');
  let name = parts.join('/');
  while (stemOf(name) !== name) name = stemOf(name);
  return name === '' || name.endsWith('/') ? `${name}image` : name;
}
