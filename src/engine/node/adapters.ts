/**
 * Which of several adapters a process takes. Dawn's Node binding knows adapters by their names alone, and lists these only when it
 * is asked for one that does not exist. GPUs of one model share a name. On Linux one of them is then chosen
 * by its PCI address through Mesa's device selection, a Vulkan layer that reorders the devices of any vendor's driver (`DRI_PRIME`,
 * https://docs.mesa3d.org/envvars.html).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A choice: Dawn's options for it, and the environment that its drivers must read. */
export interface AdapterChoice {
  flags: readonly string[];
  env: Readonly<Record<string, string>>;
}

const SOFTWARE = /llvmpipe|SwiftShader|Microsoft Basic Render/i;
const PCI = '/sys/bus/pci/devices';

/** The names in Dawn's message "Available adapters:", in its order, but for software adapters. */
export const hardwareNames = (message: string): string[] =>
  [...message.matchAll(/^ \* backend: '[^']*', name: '(.*)'$/gm)]
    .map(([, name]) => name!)
    .filter((name) => !SOFTWARE.test(name));

/**
 * The adapter at place `turn` among `names`, beginning again after the last. Null if there is nothing to choose: one adapter at
 * most, or several with the same name that cannot be told apart. `gpus`: PCI addresses of the machine's GPUs.
 */
export function chooseAdapter(
  names: readonly string[],
  turn: number,
  gpus: readonly string[] = pciGpus(),
): AdapterChoice | null {
  if (names.length < 2) return null;
  const place = turn % names.length;
  const name = names[place]!;
  // Dawn takes the first adapter whose name contains the text.
  const isUnique = names.filter((other) => other === name).length === 1;
  if (isUnique && names.findIndex((other) => other.includes(name)) === place) {
    return { flags: [`adapter=${name}`], env: {} };
  }
  if (new Set(names).size > 1 || gpus.length !== names.length) return null;
  return { flags: [], env: { DRI_PRIME: `pci-${gpus[place]!.replace(/[:.]/g, '_')}` } };
}

/** The addresses of the display controllers that have a driver, such as 0000:65:00.0; none where the system does not list them. */
export function pciGpus(root = PCI): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort()
    .filter((address) => {
      const device = join(root, address);
      return readFileSync(join(device, 'class'), 'utf8').startsWith('0x03') && existsSync(join(device, 'driver'));
    });
}
