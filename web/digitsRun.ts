/** The training that the page shows: the preset `demo` on scenes of the digits that lie beside the page. */
import { type Glyphs, openDigits, PRESETS, type RunConfig, withSteps } from '../src/index.ts';

export const SEED = 1;
/** How many test scenes are shown during training; the Detect part uses those that follow. */
export const SHOWN = 9;

export const digitScenes = (digits: Record<string, Glyphs>, split: 'train' | 'test') =>
  openDigits({ split, seed: SEED }, (split) => digits[split]!);

export function digitsRun(classes: string[], steps: number): RunConfig {
  const { detector, training } = PRESETS['demo']!;
  return {
    format: 1,
    data: 'digits',
    split: 'train',
    preset: 'demo',
    schedule: 'joint',
    init: null,
    skipBadBoxes: false,
    checkpointInterval: steps,
    detector: { ...detector, classes },
    training: withSteps({ ...training, seed: SEED }, steps),
  };
}
