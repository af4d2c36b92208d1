/** Every row of the benchmark, in the order of the table. */
import { type BenchCase, HALF_GROUP } from '../case.ts';
import { MATMUL_SIZES, SQUEEZENET_LAYERS, VGG16_LAYERS, ZF_LAYERS } from '../shapes.ts';
import { convCases } from './convolution.ts';
import { detectorCases, halfDetectorCases } from './detector.ts';
import { matmulCase } from './matmul.ts';
import { reductionCases } from './reductions.ts';
import { roiCases } from './rois.ts';
import { sgdCase } from './sgd.ts';
import { sortingCases } from './sorting.ts';

/** The layers of VGG-16 that are also measured in half precision: one bound by memory, one by arithmetic. */
const HALF_LAYERS = [VGG16_LAYERS[1]!, VGG16_LAYERS[5]!];

/** Bytes of a parameter during training: its value, momentum and gradient. */
const TRAINED_BYTES = 12;

/** The most telling rows come first, in case the run is cut off. `memory`: bytes that the largest row may take. */
export const benchCases = (memory: number): readonly BenchCase[] =>
  [
    ...convCases('VGG-16 convolutions', VGG16_LAYERS, [5, 8]),
    ...MATMUL_SIZES.map((n) => matmulCase(n)),
    ...roiCases,
    ...sortingCases,
    ...reductionCases,
    sgdCase('VGG-16 without fc', 20e6, true),
    sgdCase('VGG-16', memory / TRAINED_BYTES, false),
    ...detectorCases,
    ...convCases(HALF_GROUP, HALF_LAYERS, [1], 'f16'),
    matmulCase(1024, 'f16'),
    ...halfDetectorCases,
    ...convCases('SqueezeNet 1.1 convolutions', SQUEEZENET_LAYERS, [2, 3]),
    ...convCases('ZF convolutions', ZF_LAYERS, [4]),
  ].filter((item) => (item.memory ?? 0) <= memory);
