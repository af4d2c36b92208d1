/** Operations that a network for ONNX should do without, each with the reason. */
import type { Operation } from '../../engine/autograd.ts';
import {
  classWeightedLogLossOperation,
  sigmoidLogLossOperation,
  smoothL1Operation,
  softmaxLogLossOperation,
} from '../../engine/ops/losses.ts';
import { dropoutOperation } from '../../engine/ops/pointwise.ts';
import { nmsOperation, pyramidPoolOperation, roiWarpOperation } from '../../engine/ops/rois.ts';
import { Forms } from './converting.ts';

export const refusedForms = new Forms();
const { refuse } = refusedForms;

for (const loss of [softmaxLogLossOperation, classWeightedLogLossOperation, sigmoidLogLossOperation, smoothL1Operation])
  refuse(loss as Operation<never>, 'is a loss: export the network without it');
refuse(dropoutOperation, 'is for training: export the network without it');
refuse(nmsOperation, 'has no form in ONNX with the count of its result: export what comes before it');
refuse(pyramidPoolOperation, "has no form in ONNX: no operator there pools by SPP-net's rule");
refuse(roiWarpOperation, 'has no form in ONNX: no operator there samples a region by its rule');
