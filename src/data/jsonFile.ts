/** JSON files that other tools wrote: read, held against a schema, and in one line what is wrong with them. */
import { constants } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import type { z } from 'zod';
import { UserError } from '../engine/errors.ts';

export interface JsonFileOptions {
  /** What the file should be, to end a sentence that begins with 'give'. */
  expected: string;
  /** What to do where the file is larger than a string can be. */
  tooLarge: string;
  /** Text that is not needed: matches are replaced before parsing. */
  shorten?: (text: string) => string;
}

export function readJsonFile<T>(path: string, schema: z.ZodType<T>, options: JsonFileOptions): T {
  const result = schema.safeParse(parse(readText(path, options.tooLarge), path, options.shorten));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue!.path.length > 0 ? `${issue!.path.join('.')}: ` : '';
  throw new UserError(`${path}: ${where}${issue!.message}; fix it, or give ${options.expected}`);
}

function readText(path: string, tooLarge: string): string {
  try {
    if (statSync(path).size <= constants.MAX_STRING_LENGTH) return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UserError(`${path}: there is no such file; check the name`);
    throw new UserError(`${path}: cannot be read (${message}); check that it is a file you can read`);
  }
  const limit = Math.floor(constants.MAX_STRING_LENGTH / 1e6);
  throw new UserError(`${path}: is larger than the ${limit} MB that can be read as one text; ${tooLarge}`);
}

function parse(text: string, path: string, shorten?: (text: string) => string): unknown {
  try {
    return JSON.parse(shorten ? shorten(text) : text) as unknown;
  } catch (error) {
    if (shorten) return parse(text, path); // says where in the file it is wrong
    throw new UserError(`${path}: is not JSON (${(error as Error).message.replace(/\s+/g, ' ')}); restore or fix it`);
  }
}
