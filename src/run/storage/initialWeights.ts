/** Initial weights: the tensors of a file that fit a network, wherever the file comes from. */
import { UserError } from '../../engine/errors.ts';
import { allFinite } from '../../engine/integrity.ts';
import type { Safetensors } from '../../engine/safetensors.ts';
import { wholeParameters, writeWhole } from '../../engine/shards.ts';
import { BACKBONES } from '../../model/backbones/index.ts';
import { type Trainable, weightsToUse } from './checkpointFormat.ts';
import { fitWeights, type WeightFit } from './weightNames.ts';

export interface InitReport extends Pick<WeightFit, 'misfits' | 'unused'> {
  /** Parameters taken from the file, in the network's order, each with its name in the file. */
  loaded: { name: string; from: string }[];
  /** Parameters of the network that keep their random values. */
  fresh: string[];
}

/**
 * Copies the tensors that fit from a file of ours, of torchvision's or of Caffe's. Throws a UserError, one line that begins with
 * `source`, if no tensor fits, if values are not finite, or if frozen parameters would stay random.
 */
export function fillInitialWeights(file: Safetensors, source: string, model: Trainable): InitReport {
  const tensors = weightsToUse(file.tensors);
  const parameters = wholeParameters(model.parameters);
  const { backbone, classes, head } = model.config;
  const { taken, misfits, unused } = fitWeights(
    { ...file, tensors },
    {
      parameters,
      publishedNames: BACKBONES.get(backbone)?.publishedNames ?? {},
      classes,
      targetStds: head?.targetStds ?? [1, 1, 1, 1],
    },
  );
  if (taken.size === 0) {
    const first = misfits[0] ? ` (${misfits[0].from} ${misfits[0].why})` : '';
    throw new UserError(`${source}: none of its tensors fits the backbone ${backbone}${first}; choose another file`);
  }
  const names = Object.keys(parameters);
  const fresh = names.filter((name) => !taken.has(name));
  const frozen = fresh.find((name) => !parameters[name]!.parts[0]!.requiresGrad);
  if (frozen !== undefined) {
    const misfit = misfits.find(({ name }) => name === frozen);
    const why = misfit ? `${misfit.from} ${misfit.why}` : `lacks ${frozen}`;
    throw new UserError(`${source}: ${why}, which is not trained and would stay random; choose another file`);
  }
  for (const [name, { from, data }] of taken) {
    if (!allFinite(data)) throw new UserError(`${source}: ${from} is not finite; choose another file`);
    writeWhole(parameters[name]!, data);
  }
  const loaded = names.flatMap((name) => (taken.has(name) ? { name, from: taken.get(name)!.from } : []));
  return { loaded, fresh, misfits, unused };
}
