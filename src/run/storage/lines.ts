/**
 * The lines of metrics.jsonl and validation.jsonl: JSON objects, one per line, added as a run proceeds.
 *
 * Lines that do not fit the schema are ignored, whether a kill or a power cut broke them or another program wrote them. Nothing
 * that a run does depends on these files, except which evaluation is due.
 */
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { readRegularText } from '../../engine/node/readFile.ts';
import { appendLine, replaceFile } from '../../engine/node/writeFile.ts';

/** The file of a million steps has some 20 MB. */
const MAX_BYTES = 500e6;
const AFTER_FULL_DISK = 'continue with --resume';

const step = z.int().nonnegative();

/** A line of metrics.jsonl. All values are numbers; which loss terms there are depends on what is trained. */
export const METRICS_LINE = z.object({ step, loss: z.number() }).catchall(z.number());

/** A line of validation.jsonl. JSON has no NaN, so the mAP of images without any object is null. */
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

/** The lines of a file that fit the schema, in order; an empty list if there is no file. */
export function readLines<Line>(path: string, schema: z.ZodType): Line[] {
  if (!existsSync(path)) return [];
  return readRegularText(path, { maxBytes: MAX_BYTES })
    .split('\n')
    .flatMap((line) => {
      const value = parsed(line);
      return schema.safeParse(value).success ? [value as Line] : [];
    });
}

/** Undefined if the text is not JSON. */
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
