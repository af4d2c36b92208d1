/** Softmax over rows of class scores, and sums over the channels of maps: the gradients of biases. */
import { softmax } from '../../engine/ops/axes.ts';
import { sum } from '../../engine/ops/sums.ts';
import { softmaxReference } from '../../kernels/softmax.ts';
import type { BenchCase } from '../case.ts';
import { compareElements } from '../compare.ts';
import { uniform } from '../inputs.ts';

const GROUP = 'Softmax and sums';

export const reductionCases: readonly BenchCase[] = [
  softmaxRows(300, 21),
  softmaxRows(256, 1000),
  channelSums(512, 38, 50, true),
  channelSums(64, 600, 800, false),
];

function softmaxRows(rows: number, classes: number): BenchCase {
  return {
    group: GROUP,
    op: 'softmax',
    shape: `${rows} rows of ${classes} classes`,
    quick: true,
    bytes: 4 * 2 * rows * classes,
    clock: 'device',
    prepare(gpu) {
      const logits = uniform(rows * classes, 1);
      const x = gpu.tensor(logits, [rows, classes], 'logits');
      return {
        compute: () => [softmax(x, 1)],
        check([y]) {
          const view = { outer: rows, channels: classes, inner: 1 };
          const expected = softmaxReference(Float64Array.from(logits), view);
          return compareElements(
            y!,
            Array.from(expected, (value, index) => ({ index, value, magnitude: value })),
          );
        },
      };
    },
  };
}

function channelSums(channels: number, height: number, width: number, quick: boolean): BenchCase {
  const cells = height * width;
  return {
    group: GROUP,
    op: 'channel sums',
    shape: `${channels}x${height}x${width}`,
    quick,
    bytes: 4 * channels * (cells + 1),
    clock: 'device',
    prepare(gpu) {
      const values = uniform(channels * cells, 1);
      const x = gpu.tensor(values, [1, channels, height, width], 'x');
      return {
        compute: () => [sum(x, [0, 2, 3])],
        check: ([y]) =>
          compareElements(
            y!,
            Array.from({ length: channels }, (_, index) => {
              const expected = { index, value: 0, magnitude: 0 };
              for (let i = index * cells; i < (index + 1) * cells; i++) {
                expected.value += values[i]!;
                expected.magnitude += Math.abs(values[i]!);
              }
              return expected;
            }),
          ),
      };
    },
  };
}
