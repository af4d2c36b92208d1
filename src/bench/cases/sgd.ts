/**
 * One update of every parameter of Faster R-CNN with VGG-16: 137 million, or as many as fit into memory. A matrix that
 * exceeds a binding (fc6 is 392 MiB, WebGPU guarantees 128) is held in pieces.
 */
import type { Gpu } from '../../engine/gpu.ts';
import { Sgd } from '../../engine/sgd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { fill } from '../../kernels/elementwise.ts';
import { sgdReference } from '../../kernels/sgd.ts';
import type { BenchCase } from '../case.ts';
import { compareElements, merge } from '../compare.ts';
import { uniform } from '../inputs.ts';

/** The number of elements of each layer's filters and biases: conv1_1 ... conv5_3, RPN (512 channels, 9 anchors), fc6, fc7, 21 classes. */
const VGG16_SIZES: readonly number[] = [
  ...[3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512].flatMap((C, i) => {
    const K = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512][i]!;
    return [K * C * 9, K];
  }),
  ...[512 * 512 * 9, 512, 18 * 512, 18, 36 * 512, 36],
  ...[21 * 4096, 21, 84 * 4096, 84, 4096 * 4096, 4096, 25088 * 4096, 4096],
];
/** Elements of a piece: a quarter of the binding that WebGPU guarantees. */
const PIECE = (32 * 1024 * 1024) / 4;
/** Parameters up to this size are random and compared whole; larger ones are constant, since random ones would take long to make. */
const RANDOM = 65536;
const SETTINGS = { learningRate: 0.1, momentum: 0.9, weightDecay: 0.0005 };
/** Reads w, h and the gradient; writes w and h. */
const BYTES_PER_PARAMETER = 20;

/** The pieces of parameters, at most `limit` elements in all. */
export function parameterPieces(limit: number): number[] {
  const pieces: number[] = [];
  let total = 0;
  for (const size of VGG16_SIZES) {
    for (let rest = size; rest > 0; rest -= PIECE) {
      const piece = Math.min(rest, PIECE);
      if (total + piece > limit) return pieces;
      pieces.push(piece);
      total += piece;
    }
  }
  return pieces;
}

export function sgdCase(name: string, limit: number, quick: boolean): BenchCase {
  const pieces = parameterPieces(limit);
  const total = pieces.reduce((sum, n) => sum + n, 0);
  return {
    group: 'Update',
    op: 'sgd',
    shape: `${name}: ${(total / 1e6).toFixed(1)} M parameters`,
    quick,
    bytes: BYTES_PER_PARAMETER * total,
    clock: 'device',
    prepare(gpu) {
      const parameters = pieces.map((n, i) => parameter(gpu, n, i));
      const sgd = new Sgd(parameters, SETTINGS);
      const small = parameters.map((_, i) => i).filter((i) => pieces[i]! <= RANDOM);
      let first = true;
      return {
        compute() {
          sgd.step();
          if (!first) return [];
          first = false;
          return small.map((i) => parameters[i]!.copy());
        },
        check: (results) => merge(results.map((w, k) => compareUpdate(w, pieces[small[k]!]!, small[k]!))),
        dispose: () =>
          [...parameters, ...sgd.slots.map(({ state }) => state.momentum)].forEach((tensor) => tensor.dispose()),
      };
    },
  };
}

const seeds = (i: number): [w: number, gradient: number] => [2 * i, 2 * i + 1];

function parameter(gpu: Gpu, n: number, i: number): Tensor {
  const tensor = gpu.empty([n], 'f32', `parameter ${i}`);
  tensor.grad = gpu.empty([n], 'f32', `grad ${i}`);
  tensor.persistent = tensor.grad.persistent = tensor.requiresGrad = true;
  [tensor, tensor.grad].forEach((target, k) => {
    if (n <= RANDOM) target.write(uniform(n, seeds(i)[k]!));
    else gpu.run(fill, { y: target }, { n, value: 0.5 });
  });
  return tensor;
}

function compareUpdate(w: ArrayLike<number>, n: number, i: number) {
  const [before, gradient] = seeds(i).map((seed) => Float64Array.from(uniform(n, seed)));
  const { learningRate: lr, momentum, weightDecay } = SETTINGS;
  const settings = { lr, momentum, weightDecay, gradScale: 1 };
  const expected = sgdReference(before!, new Float64Array(n), gradient!, settings).w;
  return compareElements(
    w,
    [...expected].map((value, index) => ({ index, value, magnitude: 1 })),
  );
}
