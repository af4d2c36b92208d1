/** Published detectors with weights made from their names, as those are whose results the goldens hold. */
import type { Safetensors, StoredTensor } from '../../src/engine/safetensors.ts';
import { wholeParameters } from '../../src/engine/shards.ts';
import type { Gpu } from '../../src/engine/gpu.ts';
import { backboneNamed } from '../../src/model/backbones/index.ts';
import { classesOf } from '../../src/model/cocoClasses.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import { PyramidRcnn } from '../../src/model/pyramidRcnn.ts';
import { loadSafetensors } from '../../src/node.ts';
import { pyramidDetector } from '../../src/run/config/presets.ts';
import { makePublishedDetector, publishedDetector, shapesOf } from '../../src/run/storage/publishedDetector.ts';
import { fill } from './seeded.ts';
import { torchvisionName } from './torchvisionNames.ts';

type Change = (config: DetectorConfig) => DetectorConfig;

export interface TorchvisionCase {
  name: string;
  seed: string;
  size: [height: number, width: number];
  sides: [shorter: number, longer: number];
}

export interface Detectron2Case {
  name: string;
  seed: string;
  size: [height: number, width: number];
  /** Region layers on one map take a second for thirty regions on two cores. */
  proposals: number;
  shapes: Record<string, number[]>;
}

export interface Golden<Case> {
  cases: readonly Case[];
  metadata: Readonly<Record<string, string>>;
  tensor(name: string): Float32Array;
}

async function goldenOf<Case>(file: string): Promise<Golden<Case>> {
  const { tensors, metadata } = await loadSafetensors(new URL(`../golden/${file}`, import.meta.url).pathname);
  return {
    cases: JSON.parse(metadata['cases']!) as Case[],
    metadata,
    tensor: (name) => (tensors[name] as StoredTensor).data as Float32Array,
  };
}

/** Of scripts/goldens/detectors.py. */
export const torchvisionGolden = () => goldenOf<TorchvisionCase>('torchvision-detectors.safetensors');
/** Of scripts/goldens/detectron2_detectors.py. */
export const detectron2Golden = () => goldenOf<Detectron2Case>('detectron2-detectors.safetensors');

/** `heads`: factor of the weights of the last layers. */
export function torchvisionDetector(
  gpu: Gpu,
  { name, seed, sides }: TorchvisionCase,
  change: Change = (config) => config,
  heads = 1,
): PyramidRcnn {
  const [shorterSide, longerSide] = sides;
  const preset = pyramidDetector(backboneNamed(name));
  const input = { ...preset.input, shorterSide, longerSide };
  const model = new PyramidRcnn(gpu, change({ ...preset, input, classes: classesOf(91, name) }), 0);
  for (const [own, { shape, parts }] of Object.entries(wholeParameters(model.parameters)))
    parts[0]!.write(fill(torchvisionName(own, name), shape, seed, heads));
  return model;
}

/** Names of torchvision's whose scales the layers of the same kind have. */
const LIKE = {
  'conv3.norm.': 'x.bn3.',
  fpn_lateral: 'inner_blocks.',
  objectness_logits: 'cls_logits.',
  anchor_deltas: 'rpn.head.bbox_pred.',
};

function valueOf(name: string, shape: readonly number[], seed: string): Float32Array {
  const like = Object.entries(LIKE).find(([part]) => name.includes(part))?.[1];
  const values = fill(name, shape, seed, 1, like && like + name.split('.').at(-1)!);
  return name.endsWith('stem.conv1.weight') ? values.map((value) => value / 64) : values;
}

/** The weights go the way of a published file: recognised by names and shapes, classes and anchors in its order. */
export function detectron2Detector(
  gpu: Gpu,
  { seed, size, proposals, shapes }: Detectron2Case,
  change: Change = (config) => config,
): PyramidRcnn {
  const file: Safetensors = { tensors: {}, metadata: {} };
  for (const [own, shape] of Object.entries(shapes))
    file.tensors[own] = { shape, data: valueOf(own, shape, seed) } satisfies StoredTensor;
  const config = publishedDetector(shapesOf(file), 'model_final.pkl');
  const input = { ...config.input, shorterSide: Math.min(...size) };
  const rpn = { ...config.rpn, test: { ...config.rpn.test, postNms: proposals } };
  return makePublishedDetector(gpu, change({ ...config, input, rpn }), file, 'model_final.pkl') as PyramidRcnn;
}
