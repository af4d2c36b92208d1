/**
 * A run whose region layers are replaced by their truncated singular value decompositions (Fast R-CNN, section 3.1): a layer
 * W [u, v] becomes two, S V^T [t, v] without a bias and U [u, t] with the bias, which take t (u + v) multiplications instead of
 * u v. What W does to a region changes least, in the sum of squares, among all matrices of rank t.
 */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { gpuProducts } from '../../engine/gpuProducts.ts';
import { verified } from '../../engine/integrity.ts';
import { loadSafetensors } from '../../engine/node/safetensorsFile.ts';
import type { StoredTensor } from '../../engine/safetensors.ts';
import { wholeParameters, writeWhole } from '../../engine/shards.ts';
import { truncatedSvd } from '../../engine/truncatedSvd.ts';
import { type RegionRanks, truncatedName } from '../../model/backbones/backbone.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { makeDetector } from '../../model/detectors.ts';
import type { RunConfig } from '../config/configSchema.ts';
import { saveCheckpoint } from './checkpoint.ts';
import { fitting, readProgress, weightsToUse } from './checkpointFormat.ts';
import { readTrainedConfig, type WeightsName, weightsPath } from './loadModel.ts';
import { RunDirectory } from './runDirectory.ts';

export type RegionLayer = keyof RegionRanks;
const LAYERS: readonly RegionLayer[] = ['fc6', 'fc7'];
/** Singular values that are kept, as a share of a layer's outputs: 1024 and 256 of 4096 are the published ones. */
const USUAL_SHARE: Readonly<Record<RegionLayer, number>> = { fc6: 1 / 4, fc7: 1 / 16 };

/** A ten-thousandth of a layer's squares does not change what it finds; a smaller share would take many more iterations. */
const TOLERANCE = 1e-4;

/** How many singular values a layer keeps: `whole` leaves it as it is, undefined takes the usual share. */
export type RankChoice = number | 'whole' | undefined;

export interface CompressedLayer {
  layer: RegionLayer;
  rank: number;
  /** Rows and columns of the weight. */
  outputs: number;
  inputs: number;
  /** The share of the sum of squares of the weight that is kept. */
  kept: number;
}

export interface CompressOptions {
  gpu: Gpu;
  /** The run directory to read. */
  model: string;
  /** The run directory to make. */
  out: RunDirectory;
  weights: WeightsName;
  ranks: Readonly<Record<RegionLayer, RankChoice>>;
  onLayer?(layer: Omit<CompressedLayer, 'kept'>): void;
}

/** Makes the run `out`, and says what was done to each layer. Nothing is written before everything is computed. */
export async function compressRun({
  gpu,
  model,
  out,
  weights,
  ranks,
  onLayer,
}: CompressOptions): Promise<CompressedLayer[]> {
  const from = new RunDirectory(model);
  const config = readTrainedConfig(from, weights);
  const path = weightsPath(from, weights);
  const { tensors: stored, metadata } = await verified(await loadSafetensors(path), path);
  const tensors = weightsToUse(stored, weights === 'raw');
  const planned = planLayers(model, config, ranks, tensors);
  const made: CompressedLayer[] = [];
  for (const { name, weight, ...layer } of planned) {
    onLayer?.(layer);
    const { outputs, inputs, rank } = layer;
    const matrix = gpuProducts(gpu, weight, [outputs, inputs]);
    try {
      const { values, left, scaledRight } = await truncatedSvd(matrix, rank, { tolerance: TOLERANCE });
      const { lower, upper } = truncatedName(name);
      tensors[`${lower}.weight`] = { shape: [rank, inputs], data: Float32Array.from(scaledRight) };
      tensors[`${upper}.weight`] = { shape: [outputs, rank], data: columnsOf(left, rank, outputs) };
      tensors[`${upper}.bias`] = tensors[`${name}.bias`]!;
      made.push({ ...layer, kept: squares(values) / squares(weight) });
    } finally {
      matrix.dispose();
    }
  }
  const kept = Object.fromEntries(planned.map(({ layer, rank }) => [layer, rank]));
  const compressed: RunConfig = { ...config, detector: { ...config.detector, ranks: kept } };
  const detector = makeDetector(gpu, compressed.detector, compressed.training.seed);
  try {
    for (const [name, whole] of Object.entries(wholeParameters(detector.parameters))) {
      const stored: StoredTensor | undefined = tensors[name];
      fitting(path, name, whole, stored);
      writeWhole(whole, stored.data);
    }
    out.create(compressed);
    await saveCheckpoint(out.checkpointPath, detector, undefined, readProgress(path, metadata));
  } finally {
    detector.dispose();
  }
  return made;
}

/** The layers to reduce, with their weights. Throws where one is not there, is reduced already, or has fewer singular values. */
function planLayers(
  model: string,
  { detector }: RunConfig,
  ranks: CompressOptions['ranks'],
  tensors: Readonly<Record<string, StoredTensor>>,
) {
  if (detector.ranks) throw new UserError(`${model}: is compressed already; compress the run that it was made from`);
  const { name: backbone, regionLayers = {} } = backboneNamed(detector.backbone);
  const planned = LAYERS.flatMap((layer) => {
    const name = regionLayers[layer];
    const choice = ranks[layer];
    if (name === undefined && typeof choice === 'number')
      throw new UserError(`--${layer}: the backbone ${backbone} has no such layer; leave the option out`);
    if (name === undefined || choice === 'whole') return [];
    const { shape, data } = tensors[`${name}.weight`]!;
    const [outputs, inputs] = shape as [number, number];
    const rank = choice ?? Math.ceil(outputs * USUAL_SHARE[layer]);
    const most = Math.min(outputs, inputs);
    if (rank > most)
      throw new UserError(`--${layer} ${rank}: the layer is ${outputs} x ${inputs}; choose a number up to ${most}`);
    return [{ layer, name, rank, outputs, inputs, weight: data as Float32Array }];
  });
  if (planned.length > 0) return planned;
  throw new UserError(`${model}: no layer is left to compress; give --fc6 or --fc7 a number of singular values`);
}

/** [rank, rows] as [rows, rank]. */
function columnsOf(vectors: Float64Array, rank: number, rows: number): Float32Array {
  const turned = new Float32Array(rows * rank);
  for (let i = 0; i < rank; i++) for (let j = 0; j < rows; j++) turned[j * rank + i] = vectors[i * rows + j]!;
  return turned;
}

function squares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}
