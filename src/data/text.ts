/** Texts that other tools wrote, in the encoding given by a byte order mark or declared in them, otherwise UTF-8. */
import { UserError } from '../engine/errors.ts';

/**
 * The text of bytes, without its byte order mark. `source` begins the error message. `declared`: the encoding that the text says it
 * has, if it says so.
 */
export function decodeText(
  bytes: Uint8Array,
  source: string,
  declared: (beginning: string) => string | undefined = () => undefined,
): string {
  const encoding = encodingOf(bytes) ?? declared(latin1(bytes.subarray(0, 256))) ?? 'utf-8';
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new UserError(
      `${source}: says that it is in the encoding '${printable(encoding)}', which is not known; save it in UTF-8`,
    );
  }
  try {
    return decoder.decode(bytes);
  } catch {
    throw new UserError(
      `${source}: is not text in ${decoder.encoding.toUpperCase()}; save it in UTF-8, or declare its encoding`,
    );
  }
}

const latin1 = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);

/** The encoding, recognised by the byte order mark or by the zero bytes that UTF-16 has beside ASCII letters; undefined if there is neither. */
export function encodingOf([a = 0, b = 0, c = 0, d = 0]: Uint8Array): string | undefined {
  const ascii = (byte: number): boolean => byte > 0 && byte < 0x80;
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if ((a === 0xff && b === 0xfe) || (ascii(a) && b === 0 && ascii(c) && d === 0)) return 'utf-16le';
  if ((a === 0xfe && b === 0xff) || (a === 0 && ascii(b) && c === 0 && ascii(d))) return 'utf-16be';
  return undefined;
}

/** Lines without white space around them and without empty ones. */
export const linesOf = (text: string): string[] =>
  text
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** A text from a file, made safe to print: control characters could colour or clear a terminal. */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
