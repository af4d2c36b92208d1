/** Text files that other tools wrote, in the encoding given by a byte order mark or declared in the file, otherwise UTF-8. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { UserError } from '../engine/errors.ts';
import { asBuffer } from '../engine/node/asBuffer.ts';
import { readRegularFile } from '../engine/node/readFile.ts';

/** More than any annotation file has, except COCO's, which jsonFile.ts reads. */
const MAX_TEXT_BYTES = 256e6;

/** The text of a file without its byte order mark. `declared`: the encoding that the file says it has, if it says so. */
export function readText(path: string, declared: (beginning: string) => string | undefined = () => undefined): string {
  const bytes = readRegularFile(path, { maxBytes: MAX_TEXT_BYTES });
  const encoding = encodingOf(bytes) ?? declared(asBuffer(bytes.subarray(0, 256)).toString('latin1')) ?? 'utf-8';
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new UserError(
      `${path}: says that it is in the encoding '${printable(encoding)}', which is not known; save it in UTF-8`,
    );
  }
  try {
    return decoder.decode(bytes);
  } catch {
    throw new UserError(
      `${path}: is not text in ${decoder.encoding.toUpperCase()}; save it in UTF-8, or declare its encoding`,
    );
  }
}

/** The encoding, recognised by the byte order mark or by the zero bytes that UTF-16 has beside ASCII letters; undefined if there is neither. */
export function encodingOf([a = 0, b = 0, c = 0, d = 0]: Uint8Array): string | undefined {
  const ascii = (byte: number): boolean => byte > 0 && byte < 0x80;
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if ((a === 0xff && b === 0xfe) || (ascii(a) && b === 0 && ascii(c) && d === 0)) return 'utf-16le';
  if ((a === 0xfe && b === 0xff) || (a === 0 && ascii(b) && c === 0 && ascii(d))) return 'utf-16be';
  return undefined;
}

/** Lines without white space around them and without empty ones. */
export const readLines = (path: string): string[] =>
  readText(path)
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** A text from a file, made safe to print: control characters could colour or clear a terminal. */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd');

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
