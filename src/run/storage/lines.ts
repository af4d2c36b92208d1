/**
 * The lines of metrics.jsonl and validation.jsonl: JSON objects, one a line, added as a run goes on.
 *
 * A line that does not fit the schema is left out, whether a kill or a power cut broke it or something else wrote it: what a run does
 * next never depends on these files, but for which evaluation is due.
 */
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { appendLine, readRegularText, replaceFile } from '../../engine/node/files.ts';

/** A million steps have some 20 MB. */
const MAX_BYTES = 500e6;
const AFTER_FULL_DISK = 'continue with --resume';

const step = z.int().nonnegative();

/** Of metrics.jsonl: every value is a number, and which terms of the loss there are depends on what is trained. */
export const METRICS_LINE = z.object({ step, loss: z.number() }).catchall(z.number());

/** Of validation.jsonl. JSON has no NaN: the mAP of images without any object is null there. */
export const VALIDATION_LINE = z
  .object({
    step,
    mAP: z.number().nullable(),
    ap: z.record(z.string(), z.number().nullable()),
    loss: z.number(),
    images: z.number(),
    seconds: z.number(),
  })
  .catchall(z.number());

/** The lines of a file that fit the schema, in order; none if there is no file. */
export function readLines<Line>(path: string, schema: z.ZodType): Line[] {
  if (!existsSync(path)) return [];
  return readRegularText(path, { maxBytes: MAX_BYTES })
    .split('\n')
    .flatMap((line) => {
      const value = parsed(line);
      return schema.safeParse(value).success ? [value as Line] : [];
    });
}

/** Undefined where the text is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const addLine = (path: string, line: object): void => appendLine(path, JSON.stringify(line), AFTER_FULL_DISK);

/** Drops the lines after `step`, and those that do not fit the schema. */
export function truncateLines(path: string, schema: z.ZodType, step: number): void {
  const kept = readLines<{ step: number }>(path, schema).filter((line) => line.step <= step);
  replaceFile(path, kept.map((line) => JSON.stringify(line) + '\n').join(''), AFTER_FULL_DISK);
}
