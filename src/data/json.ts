/** JSON that other tools wrote, checked against a schema; one line says what is wrong with it. */
import type * as z from 'zod';
import { UserError } from '../engine/errors.ts';
import { printable } from './text.ts';

export interface JsonOptions {
  /** What the file should be; it ends a sentence that begins with 'give'. */
  expected: string;
  /** Text that is not needed: matches are replaced before parsing. */
  shorten?: (text: string) => string;
}

/**
 * The value in a text. Whole numbers beyond 2^53 become bigints; NaN, Infinity and -Infinity, which Python writes, are numbers.
 * `source` begins the error message.
 */
export function parseJson<T>(text: string, source: string, schema: z.ZodType<T>, options: JsonOptions): T {
  const result = schema.safeParse(parse(text, source, options.shorten));
  if (result.success) return result.data;
  throw new UserError(`${source}: ${firstIssue(result.error)}; fix it, or give ${options.expected}`);
}

/** The first thing that is wrong with a value: where in it, and what. */
export function firstIssue({ issues: [issue] }: z.ZodError): string {
  const where = issue!.path.length > 0 ? `${issue!.path.join('.')}: ` : '';
  return printable(where + issue!.message);
}

function parse(text: string, source: string, shorten?: (text: string) => string): unknown {
  try {
    return parseTolerantly(shorten ? shorten(text) : text);
  } catch (error) {
    if (shorten) return parse(text, source); // so that the message gives the position in the original file
    throw new UserError(
      `${source}: is not JSON (${printable((error as Error).message.replace(/\s+/g, ' '))}); restore or fix it`,
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
