/** Files and folders of a data set on the disk, and its images among them (imageNames.ts). */
import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { findImage, formsOf, ImageNames, partsOf } from './imageNames.ts';
import { printable } from './text.ts';

/** A path as used in names of images: for a URL, an absolute path or one with '..', only the last component. */
export function tidyPath(written: string): string {
  const parts = partsOf(written);
  const foreign = /^[a-z][a-z0-9+.-]+:\/\//i.test(written.trim()) || parts.includes('..') || isAbsolute(written);
  return (foreign ? parts.slice(-1) : parts).join('/');
}

/** Folders deeper than this, and files beyond this number, are ignored. */
const MAX_DEPTH = 8;
const MAX_FILES = 2_000_000;

/** The files beneath a folder, as relative paths with '/'. Links to folders are followed, each folder once. */
export function filesBeneath(root: string, depth = MAX_DEPTH): string[] {
  const files: string[] = [];
  const seen = new Set<string>();
  const walk = (folder: string, prefix: string, left: number): void => {
    let entries: Dirent[];
    try {
      const real = realpathSync(folder);
      if (seen.has(real)) return;
      seen.add(real);
      entries = readdirSync(folder, { withFileTypes: true });
    } catch (error) {
      if (prefix !== '') return; // a subfolder without permission
      throw new UserError(
        `${folder}: cannot be listed (${(error as NodeJS.ErrnoException).code}); check that it is a folder you can read`,
      );
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith('.') || files.length >= MAX_FILES) continue;
      const path = `${prefix}${entry.name}`;
      if (isFolder(entry, join(folder, entry.name))) {
        if (left > 0) walk(join(folder, entry.name), `${path}/`, left - 1);
      } else files.push(path);
    }
  };
  walk(root, '', depth);
  return files;
}

const isFolder = (entry: Dirent, path: string): boolean =>
  entry.isDirectory() || (entry.isSymbolicLink() && folderExists(path));

/** Whether a path is a folder; false if there is nothing, or a dangling link. */
export function folderExists(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function fileExists(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export interface FoundImage {
  path: string;
  /** Found by its name alone, in another folder than the one written. */
  elsewhere: boolean;
}

/** Finds the images of one data set. */
export class ImageFinder {
  readonly #folders: readonly string[];
  readonly #allowOutside: boolean;
  readonly #listed = new Map<string, ImageNames>();

  constructor(folders: readonly string[], allowOutside: boolean) {
    this.#folders = folders.filter(folderExists);
    this.#allowOutside = allowOutside;
  }

  /** Looks for an image by each of the names in turn, first in the folder `own`; undefined if there is none. */
  find(names: readonly string[], own?: string): FoundImage | undefined {
    const folders = own !== undefined && folderExists(own) ? [own, ...this.#folders] : this.#folders;
    const found = findImage(folders, (folder) => this.#list(folder), names);
    if (found) return { path: join(found.folder, found.file), elsewhere: found.elsewhere };
    return this.#outside(formsOf(names));
  }

  #list(folder: string): ImageNames {
    let listed = this.#listed.get(folder);
    if (!listed) this.#listed.set(folder, (listed = new ImageNames(folder, filesBeneath(folder))));
    return listed;
  }

  /** The file at a path that leads out of the folders, if it exists and that is allowed. */
  #outside(names: readonly string[]): FoundImage | undefined {
    for (const name of names) {
      for (const folder of this.#folders) {
        const path = isAbsolute(name) ? name : resolve(folder, name);
        if (!isOutside(folder, path) || !fileExists(path)) continue;
        if (this.#allowOutside) return { path, elsewhere: false };
        throw new UserError(
          `${printable(name)}: leads out of ${folder}; pass --allow-outside if you trust the annotations`,
        );
      }
    }
    return undefined;
  }
}

function isOutside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way);
}
