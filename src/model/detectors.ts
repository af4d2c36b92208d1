/** The kinds of detector by name. A new one is a line here; `detector.system` of a configuration names it. */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { backboneNamed } from './backbones/index.ts';
import type { DetectorConfig } from './config.ts';
import { type Detector, systemOf } from './detector.ts';
import { fastRcnn } from './fastRcnn.ts';
import { FasterRcnn } from './fasterRcnn.ts';
import { PyramidRcnn } from './pyramidRcnn.ts';
import { rcnn } from './rcnn.ts';
import { sppNet } from './sppNet.ts';

/** `seed`: of the initial weights. */
export type DetectorBuilder = (gpu: Gpu, config: DetectorConfig, seed: number) => Detector;

export interface DetectorKind {
  build: DetectorBuilder;
  /** Whether every image has to come with proposals of another method. */
  givenProposals: boolean;
}

const fasterRcnn: DetectorBuilder = (gpu, config, seed) =>
  backboneNamed(config.backbone).pyramid ? new PyramidRcnn(gpu, config, seed) : new FasterRcnn(gpu, config, seed);

export const DETECTORS: ReadonlyMap<string, DetectorKind> = new Map<string, DetectorKind>([
  ['faster-rcnn', { build: fasterRcnn, givenProposals: false }],
  ['fast-rcnn', { build: fastRcnn, givenProposals: true }],
  ['rcnn', { build: rcnn, givenProposals: true }],
  ['spp-net', { build: sppNet, givenProposals: true }],
]);

/** The detector of a configuration, with random weights. */
export function makeDetector(gpu: Gpu, config: DetectorConfig, seed: number): Detector {
  return kindOf(config).build(gpu, config, seed);
}

/** Whether every image has to come with proposals of another method. */
export const takesProposals = (config: Pick<DetectorConfig, 'system'>): boolean => kindOf(config).givenProposals;

function kindOf(config: Pick<DetectorConfig, 'system'>): DetectorKind {
  const system = systemOf(config);
  const kind = DETECTORS.get(system);
  if (kind) return kind;
  throw new UserError(`detector.system ${system}: unknown; choose from ${[...DETECTORS.keys()].join(', ')}`);
}
