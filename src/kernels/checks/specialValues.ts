/**
 * A table of special values: the result of every operation for NaN, infinity, zero and numbers near the largest. Expected values
 * are worked out by hand from IEEE 754 and are those of PyTorch, not of a reference. The sign of a zero is not compared.
 */
import type { KernelCheck } from './check.ts';
import { elementwiseSpecialValues } from './specialValues/elementwise.ts';
import { layoutSpecialValues } from './specialValues/layout.ts';
import { lossesSpecialValues } from './specialValues/losses.ts';
import { normalisationSpecialValues } from './specialValues/normalisation.ts';
import { optimisersSpecialValues } from './specialValues/optimisers.ts';
import { productsSpecialValues } from './specialValues/products.ts';
import { reductionsSpecialValues } from './specialValues/reductions.ts';
import { regionsSpecialValues } from './specialValues/regions.ts';
import { spatialSpecialValues } from './specialValues/spatial.ts';

export const specialValueChecks: readonly (() => KernelCheck)[] = [
  ...elementwiseSpecialValues,
  ...reductionsSpecialValues,
  ...productsSpecialValues,
  ...lossesSpecialValues,
  ...normalisationSpecialValues,
  ...spatialSpecialValues,
  ...regionsSpecialValues,
  ...optimisersSpecialValues,
  ...layoutSpecialValues,
];
