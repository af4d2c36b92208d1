/** Initial values of parameters. Each is a function of the shape, reproducible from its seed. */
import { Random } from '../kernels/rng.ts';
import { elementCount, type Shape } from './tensor.ts';

export type Initializer = (shape: Shape) => Float32Array;

export const zeros: Initializer = (shape) => new Float32Array(elementCount(shape));

export const constant =
  (value: number): Initializer =>
  (shape) =>
    new Float32Array(elementCount(shape)).fill(value);

/**
 * Normal with standard deviation `std` and mean 0: the paper's new layers have .01, the box regressor .001. `first` is
 * the index of the first element if the tensor is part of a larger one.
 */
export const gaussian =
  (std: number, seed: number, first = 0): Initializer =>
  (shape) => {
    const random = new Random(seed, 0x6a55, 2 * first);
    const values = new Float32Array(elementCount(shape)); // a loop: VGG-16 has 137 million
    for (let i = 0; i < values.length; i++) values[i] = std * random.normal();
    return values;
  };

/** Normal with variance 2 / fan-in (He et al. 2015), for layers before a ReLU. */
export const heNormal =
  (seed: number, first = 0): Initializer =>
  (shape) =>
    gaussian(Math.sqrt(2 / elementCount(shape.slice(1))), seed, first)(shape);
