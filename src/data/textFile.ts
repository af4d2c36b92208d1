/** Text files that other tools wrote (text.ts). */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { readRegularFile } from '../engine/node/readFile.ts';
import { decodeText, encodingOf, linesOf } from './text.ts';

/** More than any annotation file has, except COCO's, which jsonFile.ts reads. */
const MAX_TEXT_BYTES = 256e6;

export const readTextBytes = (path: string): Uint8Array => readRegularFile(path, { maxBytes: MAX_TEXT_BYTES });

/** The text of a file without its byte order mark. */
export const readText = (path: string): string => decodeText(readTextBytes(path), path);

/** Lines without white space around them and without empty ones. */
export const readLines = (path: string): string[] => linesOf(readText(path));

/** The first bytes of a file, to see what it is; empty if it cannot be read. */
export function beginningOf(path: string, bytes = 65536): string {
  try {
    if (!statSync(path).isFile()) return '';
    const file = openSync(path, 'r');
    try {
      const buffer = Buffer.alloc(bytes);
      const read = buffer.subarray(0, readSync(file, buffer, 0, bytes, 0));
      return new TextDecoder(encodingOf(read) ?? 'utf-8').decode(read);
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
}
