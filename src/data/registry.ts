/** The formats of data, and how `--data` names a data set: 'voc:PATH', 'digits', or a folder. */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import type { DataFormat } from './format.ts';
import { coco } from './formats/coco.ts';
import { csv } from './formats/csv.ts';
import { cvat } from './formats/cvat.ts';
import { digits } from './formats/digits.ts';
import { labelme } from './formats/labelme.ts';
import { labelStudio } from './formats/labelStudio.ts';
import { via } from './formats/via.ts';
import { voc } from './formats/voc.ts';
import { yolo } from './formats/yolo.ts';
import type { Dataset, OpenDatasetOptions } from './types.ts';

/** A new format is a file in formats/ and a line here; your own program's is a call of `registerFormat`. */
const BUILT_IN: readonly DataFormat[] = [digits, voc, coco, yolo, labelme, cvat, labelStudio, via, csv];

const registered = new Map(BUILT_IN.map((format) => [format.name, format]));

export const FORMATS: ReadonlyMap<string, DataFormat> = registered;

/**
 * Makes a format known by its name: `openDataset` then opens 'NAME:PATH' and the folders that the format recognises. Throws if
 * there is another format of this name.
 */
export function registerFormat(format: DataFormat): void {
  const { name } = format;
  if ((registered.get(name) ?? format) !== format) throw new Error(`registerFormat: there is already a format ${name}`);
  registered.set(name, format);
}

/** Every way to name a data set, for help and messages. */
export const dataUsage = (): string =>
  `${[...FORMATS.values()].map(({ usage }) => `'${usage}'`).join(', ')}, or a folder whose format is recognised`;

/** Opens what `spec` names. Annotations are read and checked here; images only when a sample is loaded. */
export async function openDataset(spec: string, options: OpenDatasetOptions): Promise<Dataset> {
  const { format, sets } = parseSpec(spec);
  return format.open(sets, options);
}

/** The split that 'train', 'val' or 'test' stands for in this data set, if the user names none. */
export function usualSplit(spec: string, wanted: string): string {
  const { format, sets } = parseSpec(spec);
  return format.usualSplit(sets, wanted);
}

/** The splits of a data set; for several folders, the splits that all of them have. */
export function splitsOf(spec: string): readonly string[] {
  const { format, sets } = parseSpec(spec);
  return format.splits(sets);
}

/** The spec with its format and absolute paths, so that a run can be resumed from any working directory. */
export function absoluteSpec(spec: string): string {
  const { format, paths } = parseSpec(spec);
  return paths.length === 0 ? format.name : `${format.name}:${paths.map((path) => resolve(path)).join()}`;
}

interface ParsedSpec {
  format: DataFormat;
  paths: string[];
  sets: string[][];
}

function parseSpec(spec: string): ParsedSpec {
  const colon = spec.indexOf(':');
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const named = FORMATS.get(name);
  if (named) {
    const paths = colon < 0 ? [] : spec.slice(colon + 1).split(',');
    const sets = paths.includes('') ? undefined : named.sets(paths);
    paths.forEach(refuseArchive);
    if (sets) return { format: named, paths, sets };
    throw new UserError(`--data ${spec}: not a data set; give ${dataUsage()}`);
  }
  const paths = existsSync(spec) ? [spec] : spec.split(',');
  const missing = paths.find((path) => !existsSync(path));
  if (missing !== undefined) {
    const what = /^\w{2,}:/.test(spec) ? 'not a data set' : `there is no file or folder ${missing}`;
    throw new UserError(`--data ${spec}: ${what}; give ${dataUsage()}`);
  }
  paths.forEach(refuseArchive);
  const found = paths.map((path) => recognise(path));
  const [format, ...others] = new Set(found.map((one) => one.format));
  if (others.length > 0)
    throw new UserError(`--data ${spec}: its folders have different formats; give folders of one format`);
  const foundPaths = found.map((one) => one.path);
  const sets = format!.sets(foundPaths);
  if (sets) return { format: format!, paths: foundPaths, sets };
  throw new UserError(`--data ${spec}: not a data set; give ${dataUsage()}`);
}

function refuseArchive(path: string): void {
  if (/\.(zip|tar|tgz|gz|7z|rar)$/i.test(path) && existsSync(path))
    throw new UserError(`--data ${path}: is an archive; unpack it, and give the folder`);
}

/** Folders around a data set, as unpacking an archive makes them. */
const OUTER_FOLDERS = 2;

/** The format that recognises a folder or file with the highest confidence; for a folder around one data set, that one. */
function recognise(path: string): { format: DataFormat; path: string } {
  const found = recogniseWithin(path, OUTER_FOLDERS);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw new UserError(`--data ${path}: its format is not recognised; give ${dataUsage()}`);
  const names = found.map((one) => one.path);
  throw new UserError(
    `--data ${path}: holds several data sets; give one of them, or several that belong together: ${names.join(',')}`,
  );
}

function recogniseWithin(path: string, levels: number): { format: DataFormat; path: string }[] {
  const sure = [...FORMATS.values()]
    .map((format) => ({ format, path, confidence: format.recognises(path) ?? 0 }))
    .filter(({ confidence }) => confidence > 0)
    .sort((a, b) => b.confidence - a.confidence);
  if (sure[0] || levels === 0) return sure.slice(0, 1);
  return foldersIn(path).flatMap((folder) => recogniseWithin(folder, levels - 1));
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^(\.|__MACOSX$)/.test(entry.name))
      .map(({ name }) => join(path, name))
      .sort();
  } catch {
    return []; // it is a file, or may not be listed
  }
}
