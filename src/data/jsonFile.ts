/** Reads JSON files that other tools wrote (json.ts). */
import { constants } from 'node:buffer';
import { statSync } from 'node:fs';
import type * as z from 'zod';
import { UserError } from '../engine/errors.ts';
import { asBuffer } from '../engine/node/asBuffer.ts';
import { readRegularFile } from '../engine/node/readFile.ts';
import { type JsonOptions, parseJson } from './json.ts';
import { encodingOf } from './text.ts';

export interface JsonFileOptions extends JsonOptions {
  /** What to do if the file is larger than a string can be. */
  tooLarge: string;
}

export const readJsonFile = <T>(path: string, schema: z.ZodType<T>, options: JsonFileOptions): T =>
  parseJson(readWhole(path, options.tooLarge), path, schema, options);

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0; // reading it will say what is wrong
  }
}

function readWhole(path: string, tooLarge: string): string {
  if (sizeOf(path) <= constants.MAX_STRING_LENGTH) {
    const bytes = asBuffer(readRegularFile(path, { maxBytes: constants.MAX_STRING_LENGTH }));
    const encoding = encodingOf(bytes);
    // A Buffer decodes the half gigabyte of a COCO file faster.
    if (encoding?.startsWith('utf-16')) return new TextDecoder(encoding).decode(bytes);
    return bytes.toString('utf8').replace(/^\uFEFF/, '');
  }
  const limit = Math.floor(constants.MAX_STRING_LENGTH / 1e6);
  throw new UserError(`${path}: is larger than the ${limit} MB that can be read as one text; ${tooLarge}`);
}
