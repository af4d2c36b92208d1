/** Launches the sums over the channels and over the other axes of [outer, channels, inner], whole or in parts; no tape. */
import type { ChannelView } from '../kernels/channelView.ts';
import { sumParts } from '../kernels/planner.ts';
import { axisSum, axisSumPart, channelSum, channelSumPart } from '../kernels/reduce.ts';
import { sumPartials } from '../kernels/sumPartials.ts';
import type { Tensor } from './tensor.ts';

/** y [n] = the sum of `parts` parts, which `write` puts into a buffer [parts, n]. */
function inParts(y: Tensor, n: number, parts: number, add: boolean, write: (partial: Tensor) => void): void {
  const partial = y.gpu.empty([parts * n], 'f32', 'parts of sums');
  write(partial);
  y.gpu.run(sumPartials(add ? 'accumulate' : 'assign'), { partial, y }, { n, parts, columns: n });
  partial.dispose();
}

/** y [channels] = the sums of x over `outer` and `inner`, added to what y holds with `add`. */
export function runChannelSum(x: Tensor, y: Tensor, { outer, channels, inner }: ChannelView, add: boolean): void {
  const { gpu } = x;
  const vectors = inner % 4 === 0;
  const parts = sumParts(gpu.plans.device, 'workgroup', channels, outer * inner);
  if (parts === 1) gpu.run(channelSum(vectors, add), { dy: x, db: y }, { outer, channels, inner });
  else {
    inParts(y, channels, parts, add, (partial) =>
      gpu.run(channelSumPart(vectors), { dy: x, partial }, { outer, channels, inner, parts }),
    );
  }
}

/** y [outer, inner] = the sums of x over `channels`, added to what y holds with `add`. */
export function runAxisSum(x: Tensor, y: Tensor, { outer, channels, inner }: ChannelView, add: boolean): void {
  const { gpu } = x;
  const parts = sumParts(gpu.plans.device, 'invocation', outer * inner, channels);
  if (parts === 1) gpu.run(axisSum(add), { x, y }, { outer, channels, inner });
  else {
    inParts(y, outer * inner, parts, add, (partial) =>
      gpu.run(axisSumPart, { x, partial }, { outer, channels, inner, parts }),
    );
  }
}
