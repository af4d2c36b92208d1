/**
 * The region layers of the paper's networks: fc6 4096 - fc7 4096, each followed by ReLU and, in training, dropout with
 * probability 0.5. A region is flattened channel by channel, as in Caffe.
 */
import { dropout } from '../../engine/ops/pointwise.ts';
import { reshape } from '../../engine/ops/reshape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Backbone, ParameterStore, RegionRanks } from './backbone.ts';

export const FC_FEATURES = 4096;
/** Random streams of the dropout masks after fc6 and fc7. */
const DROPOUT_STREAMS = [0xd6, 0xd7] as const;

/** Makes both layers under the given names, for regions with the given number of values. */
export function fullyConnectedRegions(
  store: ParameterStore,
  [name6, name7]: readonly [string, string],
  inputs: number,
  ranks: RegionRanks = {},
): Backbone['regions'] {
  const fc6 = store.regionLayer(name6, [FC_FEATURES, inputs], ranks.fc6);
  const fc7 = store.regionLayer(name7, [FC_FEATURES, FC_FEATURES], ranks.fc7);
  return (region, training) => {
    const drop = (x: Tensor, i: 0 | 1): Tensor =>
      training ? dropout(x, { p: 0.5, seed: training.seed, stream: DROPOUT_STREAMS[i] }) : x;
    const x = drop(fc6(reshape(region, [region.shape[0]!, -1])), 0);
    return drop(fc7(x), 1);
  };
}
