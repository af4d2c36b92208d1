/** Refuses `--set` of values that would have no effect in a run, so that nobody waits for one. */
import { UserError } from '../../engine/errors.ts';
import type { DetectorConfig, TrainingConfig } from '../../model/config.ts';
import type { RunConfig } from './configSchema.ts';
import { givesProposals, hasStages, type Schedule, SCHEDULES } from './stages.ts';

/** Settings that only one schedule of the learning rate has. */
const RATE_SETTINGS = { steps: /^training\.(stages\.\w+\.)?(milestones|gamma)=/, polynomial: /^training\.power=/ };

/** Settings that have no effect without an RPN. */
const RPN_SETTINGS = /^detector\.(stages|anchors\.|rpn\.(?!(train|test)\.postNms=))/;

/** Throws if a setting would have no effect: stages of a schedule without any, or a value that every stage sets for itself. */
export function assertEffective(
  settings: readonly string[],
  { schedule, detector: { precision, input }, training }: RunConfig,
  givenRate: boolean,
): void {
  const { stages, lossScale } = training;
  assertScheduleOfRate(settings, training);
  assertOptimiser(settings, training, givenRate);
  if (training.tiles && givesProposals(schedule)) {
    throw new UserError(
      `--set training.tiles: the proposals of --schedule ${schedule} are those of whole images; leave it out`,
    );
  }
  if (training.augmentation && hasStages(schedule)) {
    throw new UserError(
      `--set training.augmentation: --schedule ${schedule} keeps the proposals of unchanged pictures between its stages; leave it out, or choose another schedule`,
    );
  }
  if (training.ema !== undefined && hasStages(schedule)) {
    throw new UserError(
      `--set training.ema: --schedule ${schedule} trains several networks one after the other, which are not averaged; leave it out`,
    );
  }
  if (training.microBatch !== undefined && (schedule === 'rcnn' || hasStages(schedule))) {
    const one = schedule === 'rcnn' ? 'region' : 'image of a stage';
    throw new UserError(
      `--set training.microBatch: --schedule ${schedule} computes each ${one} by itself; leave it out`,
    );
  }
  if (lossScale !== undefined && precision !== 'f16') {
    throw new UserError('--set training.lossScale: only --precision f16 scales the loss; add it, or leave this out');
  }
  if (stages && !hasStages(schedule)) {
    throw new UserError(
      `--set training.stages: --schedule ${schedule} has no stages; there are some with ${SCHEDULES.filter(hasStages).join(' and ')}`,
    );
  }
  assertCrops(settings, schedule);
  assertScales(settings, input);
  const rpnSetting = settings.find((setting) => RPN_SETTINGS.test(setting));
  if (rpnSetting !== undefined && givesProposals(schedule)) {
    throw new UserError(
      `--set ${rpnSetting}: --schedule ${schedule} has no RPN; of its settings detector.rpn.train.postNms and detector.rpn.test.postNms count, the most proposals of an image`,
    );
  }
  if (!hasStages(schedule)) return;
  for (const setting of settings) {
    const key = (['steps', 'milestones', 'imagesPerStep'] as const).find((key) =>
      setting.startsWith(`training.${key}=`),
    );
    // The milestones of a stage never follow from those of joint training.
    if (!key || (key !== 'milestones' && !(stages?.rpn?.[key] && stages.detector?.[key]))) continue;
    throw new UserError(
      `--set ${setting}: the stages of --schedule ${schedule} have their own; set training.stages.rpn.${key} and training.stages.detector.${key}`,
    );
  }
}

/** Throws if a setting has no effect with several scales of an image, or without them. */
function assertScales(settings: readonly string[], { scales }: Pick<DetectorConfig['input'], 'scales'>): void {
  const set = (path: string): string | undefined => settings.find((setting) => setting.startsWith(`${path}=`));
  const wrong = (setting: string, why: string): UserError => new UserError(`--set ${setting}: ${why}`);
  const [side, square] = [set('detector.input.shorterSide'), set('detector.head.scaleSide')];
  if (scales && side !== undefined)
    throw wrong(side, 'has no effect with detector.input.scales; leave one of them out');
  if (!scales && square !== undefined)
    throw wrong(square, 'has no effect with one scale of images; set detector.input.scales too, or leave it out');
}

/** Throws if a setting belongs to another schedule of the learning rate than the run's. */
function assertScheduleOfRate(settings: readonly string[], { rateSchedule = 'steps' }: TrainingConfig): void {
  for (const [schedule, pattern] of Object.entries(RATE_SETTINGS)) {
    const setting = schedule !== rateSchedule && settings.find((one) => pattern.test(one));
    if (!setting) continue;
    throw new UserError(
      `--set ${setting}: has no effect with training.rateSchedule ${rateSchedule}; leave it out, or set training.rateSchedule=${schedule}`,
    );
  }
}

/** Throws for a size of the whole image where crops of regions are the input, and for crops where there are none. */
function assertCrops(settings: readonly string[], schedule: Schedule): void {
  const [pattern, why] =
    schedule === 'rcnn'
      ? ([
          /^detector\.(input\.(shorterSide|scales)|head\.(pooling|samplingRatio|scaleSide))=/,
          'the input is a crop of a region; set detector.crop.size',
        ] as const)
      : ([/^detector\.crop[.=]/, 'crops no regions; --schedule rcnn does'] as const);
  const setting = settings.find((setting) => pattern.test(setting));
  if (setting !== undefined) throw new UserError(`--set ${setting}: has no effect with --schedule ${schedule}: ${why}`);
}

/** Settings that only one kind of optimiser has. */
const SGD_SETTINGS = /^training\.momentum=/;
const ADAM_SETTINGS = /^training\.(betas|epsilon)=/;

/** Throws if a setting belongs to another optimiser than the run's, or the learning rate does. */
function assertOptimiser(
  settings: readonly string[],
  { optimizer = 'sgd', learningRate }: TrainingConfig,
  givenRate: boolean,
): void {
  const others = optimizer === 'sgd' ? ADAM_SETTINGS : SGD_SETTINGS;
  const setting = settings.find((one) => others.test(one));
  if (setting) throw new UserError(`--set ${setting}: training.optimizer ${optimizer} has no such value; leave it out`);
  if (optimizer === 'sgd' || givenRate) return;
  throw new UserError(
    `--set training.optimizer=${optimizer}: the preset's learning rate, ${learningRate}, is for sgd; give one, such as --learning-rate 0.0003`,
  );
}
