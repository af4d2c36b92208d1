/** Refuses options that contradict the run that is to be resumed. */
import { resolve } from 'node:path';
import { absoluteFiles } from '../../data/proposalFiles.ts';
import { absoluteSpec } from '../../data/registry.ts';
import { UserError } from '../../engine/errors.ts';
import { type RunConfig, withSettings } from './configSchema.ts';
import type { RunChoices } from './runConfig.ts';

/** Throws if a choice differs from the run that is to be resumed. */
export function assertSameRun(choices: RunChoices, config: RunConfig, configPath: string): void {
  const { data, init, validateData } = choices;
  const pairs: [option: string, chosen: unknown, saved: unknown][] = [
    ['--data', data && absoluteSpec(data), config.data],
    ['--split', choices.split, config.split],
    ['--preset', choices.preset, config.preset],
    ['--schedule', choices.schedule, config.schedule],
    ['--proposals', choices.proposals && absoluteFiles(choices.proposals).join(), config.proposals?.join()],
    ['--backbone', choices.backbone, config.detector.backbone],
    ['--init', init && resolve(init), config.init],
    ['--precision', choices.precision, config.detector.precision ?? 'f32'],
    ['--input', choices.input, config.detector.input.channels],
    ['--steps', choices.steps, config.training.steps],
    ['--seed', choices.seed, config.training.seed],
    ['--deterministic', choices.deterministic, config.plannedFor !== undefined],
    ['--learning-rate', choices.learningRate, config.training.learningRate],
    ['--split-seed', choices.splitSeed, config.splitSeed ?? 0],
    ['--allow-outside', choices.allowOutside, config.allowOutside ?? false],
    ['--skip-bad-boxes', choices.skipBadBoxes, config.skipBadBoxes],
    ['--checkpoint-every', choices.checkpointEvery, config.checkpointInterval],
    ['--save-every', choices.saveEvery, config.kept?.interval],
    ['--keep', choices.keep, config.kept?.last],
    ['--validate', choices.validate, config.validation?.split],
    ['--validate-data', validateData && absoluteSpec(validateData), config.validation?.data],
    ['--validate-every', choices.validateEvery, config.validation?.interval],
    ['--validate-images', choices.validateImages, config.validation?.images],
    ['--patience', choices.patience, config.validation?.patience],
  ];
  assertSameChoices(pairs, configPath);
  for (const setting of choices.set ?? []) {
    if (JSON.stringify(withSettings(config, [setting])) === JSON.stringify(config)) continue;
    throw new UserError(`--set ${setting}: the run to resume has another value (${configPath}); leave the option out`);
  }
}

/** Throws if an option was given that differs from the value in the run that is to be resumed. */
export function assertSameChoices(
  pairs: readonly (readonly [option: string, chosen: unknown, saved: unknown])[],
  configPath: string,
): void {
  for (const [option, chosen, saved] of pairs) {
    if (chosen === undefined || chosen === saved) continue;
    throw new UserError(
      `${option}: the run to resume has ${saved ?? 'none'} (${configPath}), not ${chosen}; leave the option out, or start a new run in another --out`,
    );
  }
}
