/** The kinds of detector by name. A new one is a line here; `detector.system` of a configuration names it. */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { DetectorConfig } from './config.ts';
import { type Detector, systemOf } from './detector.ts';
import { FasterRcnn } from './fasterRcnn.ts';

/** `seed`: of the initial weights. */
export type DetectorBuilder = (gpu: Gpu, config: DetectorConfig, seed: number) => Detector;

export const DETECTORS: ReadonlyMap<string, DetectorBuilder> = new Map<string, DetectorBuilder>([
  ['faster-rcnn', (...args) => new FasterRcnn(...args)],
]);

/** The detector of a configuration, with random weights. */
export function makeDetector(gpu: Gpu, config: DetectorConfig, seed: number): Detector {
  const system = systemOf(config);
  const build = DETECTORS.get(system);
  if (build) return build(gpu, config, seed);
  throw new UserError(`detector.system ${system}: unknown; choose from ${[...DETECTORS.keys()].join(', ')}`);
}
