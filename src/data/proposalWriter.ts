/**
 * Writes a file of proposals (proposalFiles.ts) image by image. Until all images are written they are in a file beside it,
 * NAME.KEY.part, which then takes its name: the file is never half there. If a process ends before that, the next with the same
 * key continues after the last whole image.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { readRegularLines } from '../engine/node/readFile.ts';
import { makeFolder, syncFile, unwritable } from '../engine/node/writeFile.ts';
import { PROPOSAL_HEADER } from './proposalFiles.ts';
import type { Sample } from './types.ts';

const AGAIN = 'run the command again';

export class ProposalWriter {
  /** Images of the list that are written. */
  done: number;
  readonly #path: string;
  readonly #part: string;
  readonly #file: number;
  #size: number;

  private constructor(path: string, part: string, file: number, { done, size }: Whole) {
    this.#path = path;
    this.#part = part;
    this.#file = file;
    this.done = done;
    this.#size = size;
  }

  /**
   * @param settings everything that the boxes depend on besides the images; a part with others is not continued
   * @param samples in the order in which they will be written
   */
  static async open(path: string, settings: unknown, samples: readonly Sample[]): Promise<ProposalWriter> {
    for (const { id } of samples) {
      if (/[,\r\n]/.test(id) || id.trim() !== id) {
        throw new UserError(
          `${JSON.stringify(id)}: the name of this image cannot stand in a CSV file of proposals; rename the image without commas, line breaks or spaces at its ends`,
        );
      }
    }
    if (existsSync(path) && !statSync(path).isFile()) {
      throw new UserError(`${path}: is not a regular file; name a file to write`);
    }
    const part = `${path}.${keyOf(settings, samples)}.part`;
    try {
      makeFolder(dirname(path));
      const whole = existsSync(part) ? await wholeImages(part, samples) : undefined;
      const file = openSync(part, whole ? 'r+' : 'w');
      const writer = new ProposalWriter(path, part, file, whole ?? { done: 0, size: 0 });
      if (whole) ftruncateSync(file, whole.size);
      else writer.#write(`${PROPOSAL_HEADER}\n`);
      return writer;
    } catch (error) {
      throw error instanceof UserError ? error : unwritable(path, error as NodeJS.ErrnoException, AGAIN);
    }
  }

  /** Adds the lines of the next image: at least one. */
  append(lines: string): void {
    this.#write(lines);
    this.done++;
  }

  #write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    try {
      if (fstatSync(this.#file).size !== this.#size) {
        throw new UserError(`${this.#part}: another process writes it; wait for its end or choose another --out`);
      }
      for (let at = 0; at < bytes.length;) {
        at += writeSync(this.#file, bytes, at, bytes.length - at, this.#size + at);
      }
    } catch (error) {
      throw error instanceof UserError ? error : unwritable(this.#path, error as NodeJS.ErrnoException, AGAIN);
    }
    this.#size += bytes.length;
  }

  /** Gives the file its name; parts with other settings go. */
  finish(): void {
    try {
      fsyncSync(this.#file);
      renameSync(this.#part, this.#path);
      syncFile(this.#path, AGAIN);
    } catch (error) {
      throw error instanceof UserError ? error : unwritable(this.#path, error as NodeJS.ErrnoException, AGAIN);
    }
    const folder = dirname(this.#path);
    const name = basename(this.#path);
    for (const other of readdirSync(folder)) {
      if (other.startsWith(`${name}.`) && /^\.[0-9a-f]{16}\.part$/.test(other.slice(name.length))) {
        rmSync(join(folder, other), { force: true });
      }
    }
  }

  /** Keeps the part of an unfinished file, unless nothing is in it. */
  close(): void {
    closeSync(this.#file);
    if (this.done === 0) rmSync(this.#part, { force: true });
  }
}

/** Of the settings and of the images: their names, sizes and, where they are files, when those were changed. */
function keyOf(settings: unknown, samples: readonly Sample[]): string {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const { id, width, height, file } of samples) {
    const stats = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
    hash.update(JSON.stringify([id, width, height, stats?.size, stats?.mtimeMs]));
  }
  return hash.digest('hex').slice(0, 16);
}

interface Whole {
  /** Images whose lines are all there. */
  done: number;
  /** Bytes up to the end of the last of them. */
  size: number;
}

/**
 * What can be kept of a part. Nothing says whether the last image in it has all its lines, so it is computed again; undefined
 * if not even the first line is whole.
 */
async function wholeImages(part: string, samples: readonly Sample[]): Promise<Whole | undefined> {
  let whole: Whole | undefined;
  let size = 0;
  let image = -1;
  for await (const line of readRegularLines(part)) {
    if (!whole) {
      if (line !== PROPOSAL_HEADER) return undefined;
      size = line.length + 1;
      whole = { done: 0, size };
      continue;
    }
    const id = line.slice(0, Math.max(0, line.indexOf(',')));
    if (id === samples[image + 1]?.id) {
      image++;
      whole = { done: image, size };
    } else if (id !== samples[image]?.id) break;
    size += Buffer.byteLength(line) + 1;
  }
  return whole && whole.size <= statSync(part).size ? whole : undefined;
}
