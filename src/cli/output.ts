/** Output that is safe for any terminal or pipe. */
import { inspect } from 'node:util';

/** Characters that a terminal acts on: controls other than line break and tab, and marks that change text direction. */
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Escapes control characters, as \x1b: names come from files, and must not be able to colour or clear the terminal. */
export const escapeControls = (text: string): string =>
  text.replace(CONTROLS, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });

/** Characters of an error: names from files and options may have any length. */
const LONGEST_ERROR = 1000;

/** The message of an error as one line, whatever the names in it hold. */
export function oneLine(text: string): string {
  const line = text.replace(/\s*\n\s*/g, ' ');
  if (line.length <= LONGEST_ERROR) return line;
  const half = LONGEST_ERROR / 2;
  return `${line.slice(0, half)} ... ${line.slice(-half)}`;
}

/**
 * Sends all printing through `escapeControls`. If the reader goes away (`rcnn train | head -1`, a closed terminal), the command
 * continues without output, since it still has files to write.
 */
export function preparePrinting(): void {
  for (const name of ['log', 'error'] as const) {
    const print = console[name].bind(console);
    console[name] = (...values: unknown[]) =>
      print(escapeControls(values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' ')));
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code !== 'EPIPE' && code !== 'EIO') process.exit(2);
    });
  }
}

/** Whether stdout is a terminal that can redraw lines. */
export const isTerminal = (): boolean => process.stdout.isTTY && process.env['TERM'] !== 'dumb';
