import { clipGradNorm, clipGradValue } from '../../engine/clipGradients.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { TrainingConfig } from '../../model/config.ts';

/** Bounds the gradients before an update as the training says; `divisor` is that of the update. */
export function boundGradients(
  parameters: readonly Tensor[],
  { clipValue, clipNorm }: TrainingConfig,
  divisor: number,
): void {
  if (clipValue !== undefined) clipGradValue(parameters, clipValue, divisor);
  if (clipNorm !== undefined) clipGradNorm(parameters, clipNorm, divisor).dispose();
}
