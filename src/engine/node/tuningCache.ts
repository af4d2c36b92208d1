/**
 * What the tuner found, kept between runs: one JSON file in the user's cache folder, with a section for each adapter,
 * driver and version of this package. A file that cannot be read is ignored.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Gpu } from '../gpu.ts';
import type { Choices } from '../plans.ts';
import { readRegularText } from './readFile.ts';
import { replaceFile } from './writeFile.ts';
import { cacheFolder } from './folders.ts';

/** A shape takes some hundred bytes. */
const MAX_BYTES = 64e6;

type Sections = Record<string, Choices>;

const tuningCachePath = (): string => join(cacheFolder(), 'tuning.json');

/** The adapter, its driver (its name carries the version) and this package. */
export function tuningKey(gpu: Gpu): string {
  const { vendor, architecture, device, description } = gpu.device.adapterInfo;
  const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };
  return [vendor, architecture, device, description, `webgpu-rcnn ${version}`].join(' | ');
}

function readSections(path: string): Sections {
  try {
    const sections: unknown = existsSync(path) ? JSON.parse(readRegularText(path, { maxBytes: MAX_BYTES })) : {};
    return typeof sections === 'object' && sections !== null ? (sections as Sections) : {};
  } catch {
    return {};
  }
}

/** The choices stored for this device, if any. */
export function readTuningCache(gpu: Gpu, path = tuningCachePath()): Choices {
  const section = readSections(path)[tuningKey(gpu)];
  return typeof section === 'object' && section !== null ? section : {};
}

/** Stores the choices for this device, beside those of other devices. */
export function saveTuningCache(gpu: Gpu, choices: Choices, path = tuningCachePath()): void {
  const sections = { ...readSections(path), [tuningKey(gpu)]: choices };
  replaceFile(path, JSON.stringify(sections, null, 1) + '\n');
}
