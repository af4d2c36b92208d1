/** Data sets for the tests of formats, written file by file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { openDataset } from '../../../src/data/registry.ts';
import { isImageFile } from '../../../src/data/imageNames.ts';
import type { Sample } from '../../../src/data/types.ts';
import { temporaryFolder, writeImage } from '../fixtures.ts';

/** A folder with these files; pictures are of 40x30, whatever their text. */
export async function writeFiles(files: Record<string, string | object>): Promise<string> {
  const root = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    if (isImageFile(name)) await writeImage(path, 40, 30);
    else writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return root;
}

/** Class and corners of each object, without what floating point adds. */
export const boxesOf = ({ boxes }: Sample): (string | number)[][] =>
  boxes.map(({ classIndex, x1, y1, x2, y2 }) => [
    String(classIndex),
    ...[x1, y1, x2, y2].map((v) => Number(v.toFixed(6))),
  ]);

/** The problems of a split, as `rcnn check` has them. */
export async function check(spec: string, split: string): Promise<string[]> {
  const problems: string[] = [];
  await openDataset(spec, { split, onProblem: (problem) => problems.push(problem) });
  return problems;
}

/** One line that holds every text. */
export function says(message: string, ...texts: string[]): void {
  assert.not.match(message, '\n');
  for (const text of texts) assert.ok(message.includes(text), `'${message}' lacks '${text}'`);
}
