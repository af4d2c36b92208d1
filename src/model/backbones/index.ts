/** The backbones by name. A new one is a line in `BUILT_IN`; a program adds its own by calling `registerBackbone`. */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { DetectorConfig } from '../config.ts';
import type { Backbone, BackboneDescriptor, BackboneOptions } from './backbone.ts';
import { mobilenet, mobilenet320Fpn, mobilenetFpn } from './mobilenet.ts';
import { resnet101, resnet18, resnet34, resnet50 } from './resnet.ts';
import { resnet101C4, resnet101Fpn, resnet18Fpn, resnet50C4, resnet50Fpn, resnet50FpnV2 } from './resnetPyramids.ts';
import { small } from './small.ts';
import { squeezenet } from './squeezenet.ts';
import { vgg16 } from './vgg16.ts';
import { zf } from './zf.ts';

const BUILT_IN: readonly BackboneDescriptor[] = [
  small,
  squeezenet,
  vgg16,
  zf,
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet18Fpn,
  resnet50Fpn,
  resnet50FpnV2,
  resnet101Fpn,
  resnet50C4,
  resnet101C4,
  mobilenet,
  mobilenetFpn,
  mobilenet320Fpn,
];

const registered = new Map(BUILT_IN.map((backbone) => [backbone.name, backbone]));

export const BACKBONES: ReadonlyMap<string, BackboneDescriptor> = registered;

/**
 * Registers a backbone, so that configurations, run directories and pre-training can name it. Throws if the name is already
 * taken.
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

/** The backbone of a detector, with random weights. `bins`: see `BackboneOptions`. */
export function detectorBackbone(gpu: Gpu, config: DetectorConfig, seed: number, bins?: number): Backbone {
  return backboneNamed(config.backbone).build(gpu, backboneOptions(config, seed, bins));
}

/** What a configuration says about its backbone. */
export const backboneOptions = (
  { head, frozenStages, ranks, batchNorm, originalStride }: DetectorConfig,
  seed: number,
  bins = head.pooled ** 2,
): BackboneOptions => ({
  bins,
  seed,
  frozenStages,
  ranks,
  ...(originalStride && { originalStride }),
  ...(batchNorm && { normalisation: { trained: batchNorm.training, epsilon: batchNorm.epsilon } }),
});
