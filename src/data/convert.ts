/** Writes a data set in another format: its pictures as they are, its boxes as that format has them. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { readRegularFileAsync } from '../engine/node/readFile.ts';
import { makeTemporaryFolder } from '../engine/node/temporaries.ts';
import { makeFolder, unwritable } from '../engine/node/writeFile.ts';
import { eachAtOnce } from './atOnce.ts';
import type { FormatWriter, WrittenImage, WrittenPart } from './format.ts';
import { folderExists, stemOf } from './pictureFiles.ts';
import { encodePng, MAX_PICTURE_BYTES } from './pictures.ts';
import type { Dataset, Sample } from './types.ts';

export interface ConvertOptions {
  /** Symbolic links to the pictures in place of copies. */
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
 * Writes the parts into a new or empty folder, all or nothing. `split` is undefined for data without parts. Returns lines of
 * what the format cannot hold.
 */
export async function convert(
  parts: readonly { split: string | undefined; dataset: Dataset }[],
  writer: FormatWriter,
  folder: string,
  { link = false, onImage }: ConvertOptions = {},
): Promise<string[]> {
  const named = withNames(parts);
  const { files, losses } = writer.files(named, parts[0]!.dataset.classes.slice(1));
  const images = named.flatMap(({ split, images }) =>
    images.map((image) => ({ ...image, path: writer.picturePath(image, split) })),
  );
  const once = [...new Map(images.map((image) => [image.path, image])).values()];
  const target = resolve(folder);
  assertNewFolder(target);
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
    await eachAtOnce(once, PICTURES_AT_ONCE, async ({ sample, path }) => {
      await placePicture(sample, at(path), link);
      onImage?.();
    });
    if (existsSync(target)) rmdirSync(target);
    renameSync(partial, target);
  } catch (error) {
    if (partial !== undefined) rmSync(partial, { recursive: true, force: true });
    if (error instanceof UserError || (error as NodeJS.ErrnoException).code === undefined) throw error;
    throw unwritable(folder, error as NodeJS.ErrnoException, 'run the command again');
  }
  return losses;
}

const PICTURES_AT_ONCE = 8;

async function placePicture(sample: Sample, path: string, link: boolean): Promise<void> {
  if (sample.file === undefined) return writeFileSync(path, await encodePng(await sample.load()), { flag: 'wx' });
  if (link) return symlinkSync(resolve(sample.file), path);
  writeFileSync(path, await readRegularFileAsync(sample.file, { maxBytes: MAX_PICTURE_BYTES }), { flag: 'wx' });
}

/** A name for each picture: its sample's, made fit for every system, with a number where two would be the same. */
function withNames(parts: readonly { split: string | undefined; dataset: Dataset }[]): WrittenPart[] {
  const taken = new Set<string>();
  const byPicture = new Map<string, string>();
  return parts.map(({ split, dataset }) => ({
    split: split === undefined ? undefined : safe(split),
    images: dataset.samples.map((sample): WrittenImage => {
      const picture = sample.file === undefined ? `${split}\u0000${sample.id}` : resolve(sample.file);
      let name = byPicture.get(picture);
      if (name === undefined) {
        const wanted = safe(sample.id);
        name = wanted;
        for (let i = 2; taken.has(key(name)); i++) name = `${wanted}-${i}`;
        taken.add(key(name));
        byPicture.set(picture, name);
      }
      return { sample, name, extension: sample.file?.slice(stemOf(sample.file).length) || '.png' };
    }),
  }));
}

/** Some file systems do not tell the case of letters, or forms of accents, apart. */
const key = (name: string): string => name.normalize('NFC').toLowerCase();

/** Without characters that some systems or lists have no place for, hidden files, and what would lead out of a folder. */
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
