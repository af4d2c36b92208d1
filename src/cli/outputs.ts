/** The files that a command will write: looked at before any work. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { assertWritable } from '../engine/node/files.ts';
import { removeDeadTemporaries } from '../engine/node/temporaries.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';

type Paths = readonly (string | undefined)[];

export interface Inputs {
  /** Files that the command reads. */
  files?: Paths;
  /** A run directory of which it reads the configuration, weights and logs. */
  model?: string | undefined;
  /** As --data: of its files and folders, everything that is there already. */
  data?: string | undefined;
}

/**
 * Throws where one of these files could not be written after the work, would replace what the command reads, or is meant for
 * two results. Temporary files that dead processes left beside them are removed.
 */
export function assertOutputs(outputs: Paths, { files = [], model, data }: Inputs = {}): void {
  const run = model === undefined ? [] : new RunDirectory(model).files;
  const read = new Set(
    given([...files, ...run])
      .filter(existsSync)
      .map(identity),
  );
  const sources = (data?.replace(/^\w+:/, '').split(',') ?? []).filter(existsSync).map((path) => realpathSync(path));
  const written = new Set<string>();
  for (const path of given(outputs)) {
    assertWritable(path);
    if (existsSync(path) && !statSync(path).isFile()) continue; // a pipe or a device: two results may go there
    const name = identity(path);
    const isSource =
      existsSync(path) && sources.some((source) => `${realpathSync(path)}${sep}`.startsWith(`${source}${sep}`));
    if (read.has(name) || isSource) {
      throw new UserError(`${path}: is part of what this command reads, and would be replaced; choose another name`);
    }
    if (written.has(name))
      throw new UserError(`${path}: two results would go to this file; choose another name for one`);
    written.add(name);
  }
  for (const folder of new Set(given(outputs).map(dirname))) removeDeadTemporaries(folder);
}

const given = (paths: Paths): string[] => paths.filter((path) => path !== undefined);

/** The same for all names of a file, links of both kinds included. */
function identity(path: string): string {
  if (existsSync(path)) {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  }
  const folder = resolve(dirname(path));
  return join(existsSync(folder) ? realpathSync(folder) : folder, basename(path));
}
