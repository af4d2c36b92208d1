/** The moving average of a training's weights (`training.ema`), which is evaluated and saved beside them. */
import { MovingAverage } from '../../engine/movingAverage.ts';
import type { Detector } from '../../model/detector.ts';
import type { TrainingConfig } from '../../model/config.ts';
import type { TrainingState } from '../storage/checkpointFormat.ts';
import type { LoopValidation } from './loop.ts';

/** Of all parameters, running means and variances among them; undefined if the training has none. */
export const averageOf = ({ parameters }: Detector, { ema }: TrainingConfig): MovingAverage | undefined =>
  ema === undefined ? undefined : new MovingAverage(Object.values(parameters), ema);

/** An optimiser and an average as one state for files. */
export const stateOf = (optimizer: TrainingState, average: MovingAverage | undefined): TrainingState =>
  average === undefined
    ? optimizer
    : {
        slots: [...optimizer.slots, ...average.slots],
        set updates(updates: number) {
          if (optimizer.updates !== undefined) optimizer.updates = updates;
          average.updates = updates;
        },
      };

/** A validation of the averaged weights; the training goes on with its own. */
export const ofAverage = (validation: LoopValidation, average: MovingAverage): LoopValidation => ({
  get isOver() {
    return validation.isOver;
  },
  isDue: (step) => validation.isDue(step),
  async run(progress) {
    average.exchange();
    try {
      await validation.run(progress);
    } finally {
      average.exchange();
    }
  },
});
