/**
 * Finds images by the names that annotations give them: in another case or Unicode form (macOS decomposes accents), with another
 * extension or none, with backslashes, with a folder too many, or as the URL from which a tool fetched them.
 */
import { UserError } from '../engine/errors.ts';
import { printable } from './text.ts';

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

/** The last component of a path. */
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The components of a path, whatever system or server it was written for. */
export function partsOf(written: string): string[] {
  let path = written.trim().replace(/^["']|["']$/g, '');
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) path = decoded(path.replace(/^[^:]+:\/\//, '').replace(/[?#].*$/s, ''));
  return path.split(/[/\\]+/).filter((part) => part !== '' && part !== '.');
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

/** The image files of one folder, indexed by several keys. */
export class ImageNames {
  readonly path: string;
  private readonly files: readonly string[];
  private readonly exact: ReadonlySet<string>;
  private readonly byPath = new Map<string, string[]>();
  private readonly byStem = new Map<string, string[]>();
  private readonly byName = new Map<string, string[]>();
  private readonly byNameStem = new Map<string, string[]>();

  /** @param files the files beneath the folder, as relative paths with '/'; those that are no images are left out */
  constructor(path: string, files: readonly string[]) {
    this.path = path;
    this.files = files.filter(isImageFile);
    this.exact = new Set(this.files);
    const add = (map: Map<string, string[]>, name: string, file: string): void => {
      const found = map.get(name);
      if (found) found.push(file);
      else map.set(name, [file]);
    };
    for (const file of this.files) {
      const name = baseName(file);
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
    const named = found.filter((file) => names.some((name) => key(baseName(file)) === key(baseName(name))));
    if (named.length === 1) return named[0];
    const readable = found.filter((file) => IMAGE_EXTENSIONS.some((extension) => key(file).endsWith(extension)));
    if (readable.length === 1) return readable[0];
    throw new UserError(
      `${this.path}/${printable(written)}: could be ${found[0]} or ${found[1]}; rename one, or write its path and extension in full`,
    );
  }
}

/** Some tools write names as in a URL: a%20b.jpg. */
export const formsOf = (names: readonly string[]): string[] =>
  names.flatMap((name) => (/%[0-9a-f]{2}/i.test(name) ? [name, decoded(name)] : [name]));

export interface FoundName {
  /** The path of the folder, and the file in it. */
  folder: string;
  file: string;
  /** Found by its name alone, in another folder than the one written. */
  elsewhere: boolean;
}

/**
 * Looks for an image by each of the names in turn, in each of the folders; undefined if none of them has it. `list` is called for a
 * folder once it is searched.
 */
export function findImage(
  folders: readonly string[],
  list: (folder: string) => ImageNames,
  names: readonly string[],
): FoundName | undefined {
  const written = formsOf(names)
    .map(partsOf)
    .filter((parts) => parts.length > 0);
  const inside = written.filter((parts) => !parts.includes('..'));
  const exact = firstIn(folders, list, inside, (folder, parts) => folder.find(parts.join('/'), names));
  if (exact) return { ...exact, elsewhere: false };
  const near = firstIn(folders, list, written, (folder, parts) => {
    for (let skipped = 1; skipped < parts.length; skipped++) {
      const rest = parts.slice(skipped);
      const path = rest.includes('..') ? undefined : folder.find(rest.join('/'), names);
      if (path !== undefined) return path;
    }
    return folder.findName(parts.at(-1)!, names);
  });
  return near && { ...near, elsewhere: true };
}

function firstIn(
  folders: readonly string[],
  list: (folder: string) => ImageNames,
  names: readonly string[][],
  find: (folder: ImageNames, parts: string[]) => string | undefined,
): { folder: string; file: string } | undefined {
  for (const parts of names) {
    for (const folder of folders) {
      const file = find(list(folder), parts);
      if (file !== undefined) return { folder, file };
    }
  }
  return undefined;
}
