/** The data of a run: images to train and to validate on, with the proposals of both where the run has any. */
import { countedBoxes } from '../../data/boxes.ts';
import { assertProposals, readProposals } from '../../data/proposalFiles.ts';
import { openDataset } from '../../data/registry.ts';
import { tiledDataset } from '../../data/tiles.ts';
import type { Dataset, OpenDatasetOptions } from '../../data/types.ts';
import { UserError } from '../../engine/errors.ts';
import type { RunConfig } from './configSchema.ts';

export interface RunData {
  /** The data to train on. */
  dataset: Dataset;
  /** The data to evaluate on during training, if any. */
  validation: Dataset | undefined;
}

/** The data of a run, with the classes in its order. */
export const openRunData = (config: RunConfig): Promise<Dataset> =>
  openDataset(config.data, { ...openOptions(config), classes: config.detector.classes.slice(1) });

/** The options with which a run opens its data, except for the classes. */
export function openOptions({ split, skipBadBoxes, splitSeed, allowOutside }: RunConfig): OpenDatasetOptions {
  return { split, onBadBox: skipBadBoxes ? 'skip' : 'error', splitSeed, allowOutside };
}

/** The images on which a run is validated: all of the split that its configuration names, or some, evenly spaced. */
export async function openValidation(config: RunConfig): Promise<Dataset | undefined> {
  if (!config.validation) return undefined;
  const { data, split, images } = config.validation;
  const whole = await openRunData({ ...config, data, split });
  const { length } = whole.samples;
  const samples = whole.samples.filter((_, i) => length <= images || (i * images) % length < images);
  if (samples.every(({ boxes }) => countedBoxes(boxes).length === 0)) {
    throw new UserError(
      `--validate ${split}: has no object that counts in ${samples.length} images; choose another split`,
    );
  }
  const notes = [...whole.notes];
  if (samples.length < length) {
    notes.push(`validation takes ${samples.length} of the ${length} images of split '${split}', evenly spaced`);
  }
  return { ...whole, samples, notes };
}

/** The data to train on, with the images to validate on and the proposals of both, if the run has any. */
export async function withValidation(config: RunConfig, whole: Dataset): Promise<RunData> {
  const { tiles } = config.training;
  const dataset = tiles ? tiledDataset(whole, tiles) : whole;
  const validation = await openValidation(config);
  if (config.proposals) await giveProposals(config.proposals, dataset, validation);
  return { dataset, validation };
}

/**
 * Gives each sample its proposals. Every image to train on must have some. An image to evaluate on may have none: nothing is
 * found in it, and a note says so.
 */
export async function giveProposals(
  paths: readonly string[],
  train: Dataset | undefined,
  test?: Dataset,
): Promise<void> {
  const samples = [...(train?.samples ?? []), ...(test?.samples ?? [])];
  const read = await readProposals(paths, samples);
  samples.forEach((sample, i) => (sample.proposals = read[i]!));
  if (train) assertProposals(paths, train.samples, (i) => read[i]!.scores.length);
  const without = test?.samples.filter(({ proposals }) => proposals!.scores.length === 0) ?? [];
  if (without.length === 0) return;
  const { length } = test!.samples;
  const how = `${without.length} of ${length} images, in which nothing can be found; the first: ${without[0]!.id}`;
  test!.notes.push(`${paths.join(', ')}: has no box for ${how}`);
}
