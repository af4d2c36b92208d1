/**
 * MultiBox's loss (Erhan et al. 2014, section 3) for one image, and which prior is to find which object.
 *
 *   F = alpha / 2 sum_ij x_ij |l_i - g_j|^2  -  sum_ij x_ij log c_i  -  sum_i (1 - sum_j x_ij) log(1 - c_i)
 *
 * l_i = prior_i + offset_i are the predicted boxes, c_i = sigmoid(logit_i) their confidences, g_j the objects, all in shares of the
 * image's width and height. x matches every object to a prior of its own. As in the authors' training, it is chosen by the priors:
 * so that the squared distances |prior_i - g_j|^2 add up to the least.
 */
import { scale } from '../../engine/ops/arithmetic.ts';
import { multiply, subtract } from '../../engine/ops/binary.ts';
import { softplus } from '../../engine/ops/pointwise.ts';
import { sum } from '../../engine/ops/sums.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { bipartiteMatching } from './bipartiteMatching.ts';
import type { RelativeBox } from './priors.ts';

const SIDES = 4;

/** What one image is to be answered with. */
export interface MultiBoxTargets {
  /** 1 for a prior that is matched to an object, else 0. */
  matched: Float32Array;
  /** For each prior four offsets from it to its object; 0 where there is none. */
  offsets: Float32Array;
}

/** With more objects than priors, those that lie nearest get one. */
export function multiBoxTargets(priors: ArrayLike<number>, objects: readonly RelativeBox[]): MultiBoxTargets {
  const count = priors.length / SIDES;
  const matched = new Float32Array(count);
  const offsets = new Float32Array(SIDES * count);
  const distance = (prior: number, object: RelativeBox): number =>
    object.reduce((sum, side, k) => sum + (side - priors[SIDES * prior + k]!) ** 2, 0);
  // The smaller side of the matching has the rows.
  const byObject = objects.length <= count;
  const [rows, columns] = byObject ? [objects.length, count] : [count, objects.length];
  const cost = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [prior, object] = byObject ? [column, row] : [row, column];
      cost[row * columns + column] = distance(prior, objects[object]!);
    }
  }
  bipartiteMatching(cost, rows, columns).forEach((column, row) => {
    const [prior, object] = byObject ? [column, objects[row]!] : [row, objects[column]!];
    matched[prior] = 1;
    for (let k = 0; k < SIDES; k++) offsets[SIDES * prior + k] = object[k]! - priors[SIDES * prior + k]!;
  });
  return { matched, offsets };
}

/**
 * Both terms of F, summed over the images of a batch and divided by their number.
 *
 * @param offsets [N, 4 P] @param logits [N, P] @param targets of each image
 */
export function multiBoxLoss(
  offsets: Tensor,
  logits: Tensor,
  targets: readonly MultiBoxTargets[],
  alpha: number,
): { location: Tensor; confidence: Tensor } {
  const { gpu } = logits;
  const [images, priors] = logits.shape as [number, number];
  const joined = (values: (targets: MultiBoxTargets) => Float32Array): Float32Array => {
    const result = new Float32Array(targets.reduce((length, image) => length + values(image).length, 0));
    targets.reduce((at, image) => (result.set(values(image), at), at + values(image).length), 0);
    return result;
  };
  const matched = gpu.tensor(
    joined(({ matched }) => matched),
    [images, priors],
    'matched priors',
  );
  const wanted = gpu.tensor(
    joined((image) => image.offsets),
    [images, SIDES * priors],
    'offsets to objects',
  );
  const weights = gpu.tensor(
    joined((image) => Float32Array.from(image.offsets, (_, i) => image.matched[Math.floor(i / SIDES)]!)),
    [images, SIDES * priors],
    'weights of offsets',
  );
  const error = multiply(weights, subtract(offsets, wanted));
  const location = scale(sum(multiply(error, error)), alpha / (2 * images));
  // -x log c - (1 - x) log(1 - c) = softplus(logit) - x logit
  const confidence = scale(sum(subtract(softplus(logits), multiply(matched, logits))), 1 / images);
  return { location, confidence };
}

/** F of one image in float64, for the tests: as its definition has it. */
export function multiBoxLossReference(
  priors: ArrayLike<number>,
  offsets: ArrayLike<number>,
  logits: ArrayLike<number>,
  objects: readonly RelativeBox[],
  alpha: number,
): number {
  const { matched, offsets: wanted } = multiBoxTargets(priors, objects);
  let total = 0;
  for (let i = 0; i < matched.length; i++) {
    const confidence = 1 / (1 + Math.exp(-logits[i]!));
    if (matched[i] === 0) {
      total -= Math.log(1 - confidence);
      continue;
    }
    total -= Math.log(confidence);
    for (let k = 4 * i; k < 4 * i + 4; k++) total += (alpha / 2) * (offsets[k]! - wanted[k]!) ** 2;
  }
  return total;
}
