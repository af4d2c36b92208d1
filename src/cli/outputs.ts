/** Checks the files that a command will write, before it does any work. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { assertWritable } from '../engine/node/writeFile.ts';
import { removeDeadTemporaries } from '../engine/node/temporaries.ts';
import { isWeightsFile } from '../run/storage/loadModel.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';

type Paths = readonly (string | undefined)[];

export interface Inputs {
  /** Files that the command reads. */
  files?: Paths;
  /** A run directory whose configuration, weights and logs it reads, or a file of weights. */
  model?: string | undefined;
  /** A `--data` spec: every existing file in its files and folders counts as read. */
  data?: string | undefined;
}

/**
 * Throws if one of these files cannot be written, would replace something the command reads, or is the target of two results.
 * Also removes temporary files that dead processes left beside them.
 */
export function assertOutputs(outputs: Paths, { files = [], model, data }: Inputs = {}): void {
  const run = model === undefined ? [] : isWeightsFile(model) ? [model] : new RunDirectory(model).files;
  const read = new Set(
    given([...files, ...run])
      .filter(existsSync)
      .map(identity),
  );
  const sources = (data?.replace(/^\w+:/, '').split(',') ?? []).filter(existsSync).map((path) => realpathSync(path));
  const written = new Set<string>();
  for (const path of given(outputs)) {
    if (path === '-') throw new UserError("-: standard output has this command's messages; name a file");
    assertWritable(path);
    if (existsSync(path) && !statSync(path).isFile()) continue; // a pipe or a device: two results may go there
    const name = identity(path);
    const isSource =
      existsSync(path) && sources.some((source) => `${realpathSync(path)}${sep}`.startsWith(`${source}${sep}`));
    if (read.has(name) || isSource) {
      throw new UserError(`${path}: this command reads it, so it would be replaced; choose another name`);
    }
    if (written.has(name))
      throw new UserError(`${path}: two results would go to this file; choose another name for one`);
    written.add(name);
  }
  for (const folder of new Set(given(outputs).map(dirname))) removeDeadTemporaries(folder);
}

const given = (paths: Paths): string[] => paths.filter((path) => path !== undefined);

/** The same string for every name of one file, including hard and symbolic links. */
function identity(path: string): string {
  if (existsSync(path)) {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  }
  const folder = resolve(dirname(path));
  return join(existsSync(folder) ? realpathSync(folder) : folder, basename(path));
}
