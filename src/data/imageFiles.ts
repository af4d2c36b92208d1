/**
 * Finds image files by the names that annotations give them: in another case or Unicode form (macOS decomposes accents), with
 * another extension or none, with backslashes, with a folder too many, or as the URL from which a tool fetched them.
 */
import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { printable } from './textFile.ts';

export const IMAGE_EXTENSIONS: readonly string[] = [
  '.jpg',
  '.jpeg',
  '.jpe',
  '.jfif',
  '.png',
  '.webp',
  '.bmp',
  '.tif',
  '.tiff',
  '.gif',
  '.avif',
];

/** Of photographs that are found, so that the error can say what they are; they are not read. */
const UNREAD_EXTENSIONS = ['.heic', '.heif'];
const KNOWN_EXTENSIONS = [...IMAGE_EXTENSIONS, ...UNREAD_EXTENSIONS];

export const isImageFile = (name: string): boolean =>
  KNOWN_EXTENSIONS.some((extension) => name.toLowerCase().endsWith(extension));

/** A file name without its image extension, if it has one: 'a.v2.jpg' becomes 'a.v2', and 'a.v2' stays. */
export function stemOf(file: string): string {
  const extension = KNOWN_EXTENSIONS.find((extension) => file.toLowerCase().endsWith(extension));
  return extension === undefined ? file : file.slice(0, -extension.length);
}

/** The components of a path, whatever system or server it was written for. */
function partsOf(written: string): string[] {
  let path = written.trim().replace(/^["']|["']$/g, '');
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) path = decoded(path.replace(/^[^:]+:\/\//, '').replace(/[?#].*$/s, ''));
  return path.split(/[/\\]+/).filter((part) => part !== '' && part !== '.');
}

/** A path as used in names of images: for a URL, an absolute path or one with '..', only the last component. */
export function tidyPath(written: string): string {
  const parts = partsOf(written);
  const foreign = /^[a-z][a-z0-9+.-]+:\/\//i.test(written.trim()) || parts.includes('..') || isAbsolute(written);
  return (foreign ? parts.slice(-1) : parts).join('/');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The form in which names are compared. */
const key = (path: string): string => path.normalize('NFC').toLowerCase();

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

/** The image files of one folder, listed once and indexed by several keys. */
class Folder {
  readonly path: string;
  private readonly files: readonly string[];
  private readonly exact: ReadonlySet<string>;
  private readonly byPath = new Map<string, string[]>();
  private readonly byStem = new Map<string, string[]>();
  private readonly byName = new Map<string, string[]>();
  private readonly byNameStem = new Map<string, string[]>();

  constructor(path: string) {
    this.path = path;
    this.files = filesBeneath(path).filter(isImageFile);
    this.exact = new Set(this.files);
    const add = (map: Map<string, string[]>, name: string, file: string): void => {
      const found = map.get(name);
      if (found) found.push(file);
      else map.set(name, [file]);
    };
    for (const file of this.files) {
      const name = file.slice(file.lastIndexOf('/') + 1);
      add(this.byPath, key(file), file);
      add(this.byStem, key(stemOf(file)), file);
      add(this.byName, key(name), file);
      add(this.byNameStem, key(stemOf(name)), file);
    }
  }

  /**
   * The exact path, or one that differs only in case, Unicode form or extension. If there are several, `names` says which one
   * is meant: other names that the image has.
   */
  find(path: string, names: readonly string[]): string | undefined {
    if (this.exact.has(path)) return path;
    return (
      this.only(this.byPath, key(path), path, names) ??
      this.only(this.byStem, key(path), path, names) ??
      this.only(this.byStem, key(stemOf(path)), path, names)
    );
  }

  /** Anywhere beneath the folder. */
  findName(name: string, names: readonly string[]): string | undefined {
    return (
      this.only(this.byName, key(name), name, names) ??
      this.only(this.byNameStem, key(name), name, names) ??
      this.only(this.byNameStem, key(stemOf(name)), name, names)
    );
  }

  private only(
    map: Map<string, string[]>,
    wanted: string,
    written: string,
    names: readonly string[],
  ): string | undefined {
    const found = map.get(wanted);
    if (!found || found.length === 1) return found?.[0];
    const named = found.filter((file) => names.some((name) => key(basename(file)) === key(basename(name))));
    if (named.length === 1) return named[0];
    const readable = found.filter((file) => IMAGE_EXTENSIONS.some((extension) => key(file).endsWith(extension)));
    if (readable.length === 1) return readable[0];
    throw new UserError(
      `${join(this.path, printable(written))}: could be ${found[0]} or ${found[1]}; rename one, or write its path and extension in full`,
    );
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
  readonly #listed = new Map<string, Folder>();

  constructor(folders: readonly string[], allowOutside: boolean) {
    this.#folders = folders.filter(folderExists);
    this.#allowOutside = allowOutside;
  }

  /** Looks for an image by each of the names in turn, first in the folder `own`; undefined if there is none. */
  find(names: readonly string[], own?: string): FoundImage | undefined {
    const folders = own !== undefined && folderExists(own) ? [own, ...this.#folders] : this.#folders;
    // Some tools write names as in a URL: a%20b.jpg.
    const forms = names.flatMap((name) => (/%[0-9a-f]{2}/i.test(name) ? [name, decoded(name)] : [name]));
    const written = forms.map((name) => ({ name, parts: partsOf(name) })).filter(({ parts }) => parts.length > 0);
    const inside = written.filter(({ parts }) => !parts.includes('..'));
    const found =
      this.#first(folders, inside, (folder, parts) => folder.find(parts.join('/'), names), false) ??
      this.#first(
        folders,
        written,
        (folder, parts) => {
          for (let skipped = 1; skipped < parts.length; skipped++) {
            const rest = parts.slice(skipped);
            const path = rest.includes('..') ? undefined : folder.find(rest.join('/'), names);
            if (path !== undefined) return path;
          }
          return folder.findName(parts.at(-1)!, names);
        },
        true,
      );
    return found ?? this.#outside(written.map(({ name }) => name));
  }

  #first(
    folders: readonly string[],
    names: readonly { parts: string[] }[],
    find: (folder: Folder, parts: string[]) => string | undefined,
    elsewhere: boolean,
  ): FoundImage | undefined {
    for (const { parts } of names) {
      for (const folder of folders) {
        const file = find(this.#list(folder), parts);
        if (file !== undefined) return { path: join(folder, file), elsewhere };
      }
    }
    return undefined;
  }

  #list(folder: string): Folder {
    let listed = this.#listed.get(folder);
    if (!listed) this.#listed.set(folder, (listed = new Folder(folder)));
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
