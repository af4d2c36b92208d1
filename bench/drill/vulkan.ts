/**
 * Finds a Vulkan driver. Containers often have a GPU's libraries but no loader, or not the manifest by which the loader finds
 * them. So manifests are looked for in more places than the loader looks, or written, and the pack brings a loader and the X
 * libraries that NVIDIA's driver needs.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

const MANIFEST_FOLDERS = [
  '/etc/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/local/nvidia/share/vulkan/icd.d',
  '/usr/local/nvidia/vulkan/icd.d',
  '/opt/nvidia/share/vulkan/icd.d',
  '/run/opengl-driver/share/vulkan/icd.d',
];
const LIBRARY_FOLDERS = [
  '/usr/local/nvidia/lib64',
  '/usr/local/nvidia/lib',
  '/usr/lib/x86_64-linux-gnu',
  '/lib/x86_64-linux-gnu',
  '/usr/lib64',
  '/lib64',
  '/usr/lib',
  '/usr/lib/wsl/lib',
  '/opt/nvidia/lib64',
  '/run/opengl-driver/lib',
];
/** NVIDIA's Vulkan driver has two names: one for use with a display, one for use without. */
const NVIDIA_DRIVERS = ['libGLX_nvidia.so.0', 'libEGL_nvidia.so.0'];
const CUDA = 'libcuda.so.1';

export interface Found {
  manifests: string[];
  /** NVIDIA's libraries that contain a Vulkan driver. */
  drivers: string[];
  /** CUDA's library, which a machine can have without the graphics libraries. */
  cuda: string | null;
}

export interface Candidate {
  name: string;
  env: Record<string, string>;
}

/** `root` is '' except in tests. */
export function findDrivers(env: Readonly<Record<string, string | undefined>>, root = ''): Found {
  const given = (env['VK_DRIVER_FILES'] ?? env['VK_ICD_FILENAMES'] ?? '').split(':').filter((file) => file !== '');
  const folders = [...(env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder !== ''), ...LIBRARY_FOLDERS];
  const manifests = MANIFEST_FOLDERS.flatMap((folder) =>
    list(root + folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => path.join(root + folder, name)),
  );
  const first = (library: string): string[] =>
    folders
      .map((folder) => path.join(root + folder, library))
      .filter((file) => fs.existsSync(file))
      .slice(0, 1);
  return {
    manifests: [...new Set([...given, ...manifests])],
    drivers: NVIDIA_DRIVERS.flatMap(first),
    cuda: first(CUDA)[0] ?? null,
  };
}

/** The candidates to try, in this order, until a GPU answers. `work` is a folder for the manifests we write. */
export function candidates(found: Found, env: Readonly<Record<string, string | undefined>>, work: string): Candidate[] {
  const tried: Candidate[] = [{ name: 'the system as it is', env: {} }];
  if (found.manifests.length > 0) tried.push({ name: 'every manifest that was found', env: drivers(found.manifests) });
  for (const library of found.drivers) {
    const manifest = path.join(work, `${path.basename(library).split('.')[0]}.json`);
    const icd = { file_format_version: '1.0.1', ICD: { library_path: library, api_version: '1.3.0' } };
    fs.writeFileSync(manifest, JSON.stringify(icd));
    const beside = [path.dirname(library), env['LD_LIBRARY_PATH'] ?? ''].filter((folder) => folder !== '').join(':');
    const name = `a manifest written for ${library}`;
    tried.push({ name, env: { ...drivers([manifest]), LD_LIBRARY_PATH: beside } });
  }
  return tried;
}

/** Old loaders know only the second name. */
const drivers = (manifests: readonly string[]): Record<string, string> => ({
  VK_DRIVER_FILES: manifests.join(':'),
  VK_ICD_FILENAMES: manifests.join(':'),
});

/** Why there is no GPU, as far as the files show. */
export function whyNone({ manifests, drivers, cuda }: Found): string {
  if (drivers.length > 0) return `no Vulkan device, although ${drivers.join(' and ')} exist`;
  if (cuda !== null)
    return `no Vulkan device: ${cuda} is there, but none of the driver's graphics libraries (${NVIDIA_DRIVERS.join(', ')}); a container needs NVIDIA_DRIVER_CAPABILITIES=graphics or all`;
  return manifests.length > 0
    ? `no Vulkan device of a GPU; manifests found: ${manifests.join(', ')}`
    : "no Vulkan driver: neither a manifest nor one of NVIDIA's libraries was found";
}

/** Links the packed libraries that the system lacks into a folder for LD_LIBRARY_PATH; returns their names. */
export function bringLibraries(packed: string, folder: string, has: (library: string) => boolean): string[] {
  const missing = list(packed).filter((library) => !has(library));
  fs.mkdirSync(folder, { recursive: true });
  for (const library of missing) fs.symlinkSync(path.join(packed, library), path.join(folder, library));
  return missing;
}

function list(folder: string): string[] {
  try {
    return fs.readdirSync(folder).sort();
  } catch {
    return [];
  }
}
