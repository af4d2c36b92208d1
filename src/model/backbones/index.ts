/** The backbones by name: a new one is a line in `BUILT_IN`, one of your own program's a call of `registerBackbone`. */
import { UserError } from '../../engine/errors.ts';
import type { BackboneDescriptor } from './backbone.ts';
import { small } from './small.ts';
import { squeezenet } from './squeezenet.ts';
import { vgg16 } from './vgg16.ts';
import { zf } from './zf.ts';

const BUILT_IN: readonly BackboneDescriptor[] = [small, squeezenet, vgg16, zf];

const registered = new Map(BUILT_IN.map((backbone) => [backbone.name, backbone]));

export const BACKBONES: ReadonlyMap<string, BackboneDescriptor> = registered;

/**
 * Makes a backbone known by its name: configurations, run directories and pre-training can then name it. Throws where there
 * is another of this name.
 */
export function registerBackbone(backbone: BackboneDescriptor): void {
  const { name } = backbone;
  if ((registered.get(name) ?? backbone) !== backbone)
    throw new Error(`registerBackbone: there is already a backbone ${name}`);
  registered.set(name, backbone);
}

/** Throws a UserError, which begins with `source`, for an unknown name. */
export function backboneNamed(name: string, source = `backbone ${name}`): BackboneDescriptor {
  const backbone = BACKBONES.get(name);
  if (backbone) return backbone;
  throw new UserError(`${source}: unknown; choose from ${[...BACKBONES.keys()].join(', ')}`);
}
