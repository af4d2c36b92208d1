/** Reads JSON files that other tools wrote and checks them against a schema; one line says what is wrong with a file. */
import { constants } from 'node:buffer';
import { statSync } from 'node:fs';
import type { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { asBuffer } from '../engine/node/asBuffer.ts';
import { readRegularFile } from '../engine/node/readFile.ts';
import { encodingOf, printable } from './textFile.ts';

export interface JsonFileOptions {
  /** What the file should be; it ends a sentence that begins with 'give'. */
  expected: string;
  /** What to do if the file is larger than a string can be. */
  tooLarge: string;
  /** Text that is not needed: matches are replaced before parsing. */
  shorten?: (text: string) => string;
}

/** Whole numbers beyond 2^53 become bigints; NaN, Infinity and -Infinity, which Python writes, are numbers. */
export function readJsonFile<T>(path: string, schema: z.ZodType<T>, options: JsonFileOptions): T {
  const result = schema.safeParse(parse(readWhole(path, options.tooLarge), path, options.shorten));
  if (result.success) return result.data;
  throw new UserError(`${path}: ${firstIssue(result.error)}; fix it, or give ${options.expected}`);
}

/** The first thing that is wrong with a value: where in it, and what. */
export function firstIssue({ issues: [issue] }: z.ZodError): string {
  const where = issue!.path.length > 0 ? `${issue!.path.join('.')}: ` : '';
  return printable(where + issue!.message);
}

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

function parse(text: string, path: string, shorten?: (text: string) => string): unknown {
  try {
    return parseTolerantly(shorten ? shorten(text) : text);
  } catch (error) {
    if (shorten) return parse(text, path); // so that the message gives the position in the original file
    throw new UserError(
      `${path}: is not JSON (${printable((error as Error).message.replace(/\s+/g, ' '))}); restore or fix it`,
    );
  }
}

/** Matches a number that a double cannot hold, between characters that may surround a value. */
const LONG_INTEGER = /[:[,\s]-?\d{16,}\s*[,\]}\s]/;
/** Matches texts, which are passed over, and what is replaced outside them. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])|\bNaN\b|-?\bInfinity\b/g;
const LONG = '\u0000integer:';
const NUMBER = '\u0000number:';

function parseTolerantly(text: string): unknown {
  if (!LONG_INTEGER.test(text)) {
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      if (!/\b(NaN|Infinity)\b/.test(text)) throw error;
    }
  }
  const marked = text.replace(TOKENS, (token) => {
    if (token.startsWith('"')) return token;
    return JSON.stringify((/\d/.test(token) ? LONG : NUMBER) + token);
  });
  return JSON.parse(marked, (_, value: unknown) => {
    if (typeof value !== 'string') return value;
    if (value.startsWith(NUMBER)) return Number(value.slice(NUMBER.length));
    if (!value.startsWith(LONG)) return value;
    const integer = BigInt(value.slice(LONG.length));
    return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
  }) as unknown;
}
