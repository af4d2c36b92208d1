import { type BackboneBuilder, BACKBONES, registerBackbone } from '../../src/index.ts';

const PREFIX = 'backbone of a test ';

/** The names of those that are no test's: all test files share one process. */
export const usualBackbones = (): string[] => [...BACKBONES.keys()].filter((name) => !name.startsWith(PREFIX));

/** Registers a backbone of a test; returns the name for `DetectorConfig.backbone`. */
export function registered(build: BackboneBuilder): string {
  const name = `${PREFIX}${BACKBONES.size}`;
  registerBackbone({
    name,
    title: 'of a test',
    build,
    stride: 4,
    input: { channels: 'rgb', mean: [0, 0, 0], factor: [1, 1, 1] },
    frozenStages: 0,
    pooled: 2,
    learnsFromRandom: true,
    pretraining: { size: 32, batch: 1, learningRate: 0.01 },
  });
  return name;
}
