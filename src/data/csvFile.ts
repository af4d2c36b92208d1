/** Tables that other tools wrote, with commas, semicolons or tabs between the cells. */
import { parse } from 'csv-parse/sync';
import { UserError } from '../engine/errors.ts';
import { readText } from './textFile.ts';
import { printable } from './text.ts';

export interface CsvRow {
  cells: string[];
  /** The number of its line in the file, from 1. */
  line: number;
}

/** The rows that are not empty, with white space around cells removed. */
export function readCsv(path: string): CsvRow[] {
  const text = readText(path);
  try {
    const rows = parse(text, {
      delimiter: delimiterOf(text),
      info: true,
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      trim: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return rows.map(({ record, info }) => ({ cells: record, line: info.lines }));
  } catch (error) {
    throw new UserError(`${path}: ${printable((error as Error).message.replace(/\s+/g, ' '))}; fix the file`);
  }
}

/** The cells of the first row, given the beginning of a file. */
export function firstCells(beginning: string): string[] {
  const line = beginning.split(/\r\n|\r|\n/).find((one) => one.trim() !== '') ?? '';
  try {
    const options = { delimiter: delimiterOf(line), relax_column_count: true, relax_quotes: true, trim: true };
    return (parse(line, options) as unknown as string[][])[0] ?? [];
  } catch {
    return []; // the beginning ends inside a quoted cell, or this is no table
  }
}

/** The usual separator that occurs most often in the first line, outside quotes. */
function delimiterOf(text: string): string {
  const line = (text.split(/\r\n|\r|\n/).find((one) => one.trim() !== '') ?? '').replace(/"[^"]*"/g, '');
  const count = (delimiter: string): number => line.split(delimiter).length;
  return [',', ';', '\t'].reduce((a, b) => (count(b) > count(a) ? b : a));
}

/** A row as text, with its end of line; a cell is quoted where another reader would split it. */
export const csvRow = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`;
