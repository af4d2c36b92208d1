/**
 * A software adapter for machines without one: SwiftShader, a Vulkan driver on the CPU, unpacked from the npm package
 * @sparticuz/chromium into a cache folder. Nothing is installed, and it needs no special rights.
 *
 * Dawn reaches any driver through the Vulkan loader, libvulkan.so.1, which it opens by name. Where the system has one,
 * naming SwiftShader's manifest in VK_DRIVER_FILES is enough; where it has none, the loader that comes with SwiftShader
 * is loaded into the process first, and Dawn's open by name then finds it by its soname.
 */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { UserError } from '../errors.ts';
import { cacheFolder } from './folders.ts';

const PACKAGE = '@sparticuz/chromium';
const LOADER = 'libvulkan.so.1';
const MANIFEST = 'vk_swiftshader_icd.json';
/** dlopen's flag that keeps a library loaded; Node has constants only for the other flags. */
const RTLD_NODELETE = 0x1000;

/**
 * Makes SwiftShader ready to be found and returns the environment to open Dawn with.
 * Throws one line that says what to install if the package is missing or built for another platform.
 */
export async function swiftShader(): Promise<Record<string, string>> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new UserError(`${PACKAGE} has SwiftShader for linux-x64 only, this is ${process.platform}-${process.arch}`);
  }
  const folder = await unpacked();
  if (!hasSystemLoader()) load(path.join(folder, LOADER), os.constants.dlopen.RTLD_GLOBAL);
  const manifest = path.join(folder, MANIFEST);
  return { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
}

/** The folder with SwiftShader's files, unpacked once for each version of the package. */
async function unpacked(): Promise<string> {
  const { root, version, require } = findPackage();
  const cache = cacheFolder();
  const folder = path.join(cache, `swiftshader-${version}`);
  if (fs.existsSync(path.join(folder, MANIFEST))) return folder;

  // Unpacked elsewhere, then renamed: a folder of that name is always complete, and if two processes race, one wins.
  const aside = fs.mkdtempSync(path.join(cache, 'unpacking-'));
  try {
    // The package's own decompressor, resolved from the package: it is installed wherever the archive is.
    const tar = require('tar-fs') as { extract(folder: string): NodeJS.WritableStream };
    const archive = path.join(root, 'bin', 'swiftshader.tar.br');
    await pipeline(fs.createReadStream(archive), createBrotliDecompress(), tar.extract(aside));
    fs.renameSync(aside, folder);
  } catch (error) {
    fs.rmSync(aside, { recursive: true, force: true });
    if (!fs.existsSync(path.join(folder, MANIFEST))) {
      throw new UserError(
        `SwiftShader of ${PACKAGE} ${version} could not be unpacked into ${folder}: ${message(error)}`,
      );
    }
  }
  return folder;
}

/** Looks from this package, then from the folder of the program that runs. */
function findPackage(): { root: string; version: string; require: NodeJS.Require } {
  for (const from of [import.meta.url, path.join(process.cwd(), 'package.json')]) {
    let main: string;
    try {
      main = createRequire(from).resolve(PACKAGE);
    } catch {
      continue;
    }
    const root = main.slice(0, main.lastIndexOf(path.normalize(PACKAGE)) + PACKAGE.length);
    const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
    return { root, version, require: createRequire(main) };
  }
  throw new UserError(`the npm package ${PACKAGE} is not installed`);
}

let systemLoader: boolean | undefined;

/** Whether the system has a Vulkan loader; check before ours is loaded, which goes by the same name. */
export function hasSystemLoader(): boolean {
  return (systemLoader ??= load(LOADER, 0));
}

/**
 * dlopen. Node throws in any case, since no node addon is inside; its message says whether the library was opened.
 * A bare name is searched for where the system looks for libraries.
 */
function load(library: string, flags: number): boolean {
  try {
    process.dlopen({ exports: {} }, library, os.constants.dlopen.RTLD_NOW | RTLD_NODELETE | flags);
    return true;
  } catch (error) {
    return /did not self-register/.test(message(error));
  }
}

export function message(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}
