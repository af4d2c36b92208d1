/** What the commands write to the terminal, whatever is at its other end. */
import { inspect } from 'node:util';

/** Characters that a terminal acts on: controls but for the line break and the tab, and what turns the direction of text. */
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text with control characters as escapes, such as \x1b: names come from files, and must not colour or clear anything. */
export const printable = (text: string): string =>
  text.replace(CONTROLS, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });

/**
 * Everything that is printed goes through `printable`. And where nobody reads any more (`rcnn train | head -1`, a terminal
 * that was closed) the command goes on without output: it has files to write.
 */
export function preparePrinting(): void {
  for (const name of ['log', 'error'] as const) {
    const print = console[name].bind(console);
    console[name] = (...values: unknown[]) =>
      print(printable(values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' ')));
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code !== 'EPIPE' && code !== 'EIO') process.exit(2);
    });
  }
}

/** Whether lines can be written anew. */
export const isTerminal = (): boolean => process.stdout.isTTY && process.env['TERM'] !== 'dumb';
