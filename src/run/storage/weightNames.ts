/**
 * Finds which tensor in a file of weights is which parameter of a network, by our own names, torchvision's and Caffe's; in an
 * ONNX file without such names, by the order of its layers.
 *
 *   torchvision   features.0, classifier.0 of its VGG-16 and SqueezeNet; backbone.0 or backbone.body.0, rpn.head.conv,
 *                 roi_heads.box_head.fc6, ... of its Faster R-CNN
 *                 conv1, layer1.0.conv1, ... of its residual networks, with body. and backbone.body. before them under a feature
 *                 pyramid, whose own are backbone.fpn.inner_blocks.0 or, since 0.13, ...0.0
 *   Caffe         conv1_1, fc6, rpn_conv/3x3, cls_score, ... ; a layer's blobs are /0 and /1, or _w and _b in Caffe2
 *   detectron2    backbone.bottom_up.res2.0.conv1, backbone.fpn_lateral2, proposal_generator.rpn_head.conv, ...
 *
 * Layers are taken whole: a bias is left out if its weight does not fit. The orders of classes (background first), of anchors
 * (ratio-major), of the four deltas and of the values of a flattened RoI (channel by channel) are the same in all of them,
 * except that detectron2 has the background last.
 */
import type { Safetensors, StoredTensor } from '../../engine/safetensors.ts';
import type { Shape } from '../../engine/tensor.ts';

export interface Network {
  parameters: Readonly<Record<string, { shape: Shape }>>;
  /** Layers by the names in published files of its backbone, if these differ from the parameters' own. */
  publishedNames: Readonly<Record<string, string>>;
  classes: readonly string[];
  /** The standard deviations by which its head divides the regression targets. */
  targetStds: readonly number[];
}

export interface WeightFit {
  /** For each parameter, the tensor of the file that it comes from, and the values in the form of this network. */
  taken: Map<string, { from: string; data: Float32Array }>;
  /** Tensors that belong to a parameter but do not fit it; the sentence is `from`, then `why`. */
  misfits: { from: string; name: string; why: string }[];
  /** Tensors that belong to no parameter. */
  unused: string[];
}

/** The names in py-faster-rcnn's models/pascal_voc; ZF's alternating training has another name for the RPN's convolution. */
const CAFFE_DETECTOR = {
  'rpn_conv/3x3': 'rpn.conv',
  rpn_conv1: 'rpn.conv',
  rpn_cls_score: 'rpn.cls_score',
  rpn_bbox_pred: 'rpn.bbox_pred',
  cls_score: 'head.cls_score',
  bbox_pred: 'head.bbox_pred',
};

/**
 * Later versions have conv.0.0. A box_head is a TwoMLPHead, or a Sequential of Flatten and the layers of VGG-16's classifier; in
 * the second version of ResNet-50-FPN its layers keep their numbers. An RPN has one 3x3 convolution on one map; on a pyramid it
 * keeps torchvision's names.
 */
const TORCHVISION_DETECTOR: Readonly<Record<string, readonly string[]>> = {
  'rpn.head.conv': ['rpn.conv', 'rpn.conv.0.0'],
  'rpn.head.conv.0.0': ['rpn.conv', 'rpn.conv.0.0'],
  'rpn.head.cls_logits': ['rpn.cls_score', 'rpn.cls_logits'],
  'roi_heads.box_head.1': ['fc6'],
  'roi_heads.box_head.4': ['fc7'],
  'roi_heads.box_predictor.cls_score': ['head.cls_score'],
  'roi_heads.box_predictor.bbox_pred': ['head.bbox_pred'],
};

const DETECTOR_LAYERS = new Map<string, readonly string[]>([
  ...Object.entries(CAFFE_DETECTOR).map(([from, name]) => [from, [name]] as const),
  ...Object.entries(TORCHVISION_DETECTOR),
]);

/**
 * detectron2's detectors: stages count from the stem on, normalisation is inside its convolution, and the pyramid's layers are
 * numbered by the stage below them. Unlike everywhere else, the background is the last class and has no deltas.
 */
const DETECTRON2: readonly (readonly [pattern: RegExp, name: string | ((...parts: string[]) => string)])[] = [
  [/^backbone\.(bottom_up\.)?stem\.conv1$/, 'conv1'],
  [/^backbone\.(bottom_up\.)?stem\.conv1\.norm$/, 'bn1'],
  [/^(?:backbone\.(?:bottom_up\.)?|roi_heads\.)res(\d)\.(\d+)\.(\w+)(\.norm)?$/, blockOf],
  [/^backbone\.fpn_lateral(\d)$/, (_, stage) => `fpn.inner_blocks.${Number(stage) - 2}.0`],
  [/^backbone\.fpn_output(\d)$/, (_, stage) => `fpn.layer_blocks.${Number(stage) - 2}.0`],
  [/^proposal_generator\.rpn_head\.conv$/, 'rpn.conv.0.0'],
  [/^proposal_generator\.rpn_head\.objectness_logits$/, 'rpn.cls_logits'],
  [/^proposal_generator\.rpn_head\.anchor_deltas$/, 'rpn.bbox_pred'],
  [/^roi_heads\.box_head\.fc1$/, 'fc6'],
  [/^roi_heads\.box_head\.fc2$/, 'fc7'],
  [/^roi_heads\.box_predictor\.(cls_score|bbox_pred)$/, (_, layer) => `head.${layer}`],
];

function blockOf(_: string, stage: string, block: string, layer: string, norm?: string): string {
  const shortcut = layer === 'shortcut';
  const own = shortcut ? `downsample.${norm ? 1 : 0}` : norm ? layer.replace('conv', 'bn') : layer;
  return `layer${Number(stage) - 1}.${block}.${own}`;
}

export const namedByDetectron2 = (names: readonly string[]): boolean =>
  names.some((name) => /^(proposal_generator\.rpn_head|backbone\.(bottom_up\.)?stem)\./.test(name));

/** Our name of one of its layers. */
function detectron2Layer(layer: string): string | undefined {
  const [pattern, name] = DETECTRON2.find(([known]) => known.test(layer)) ?? [];
  if (!pattern) return undefined;
  return typeof name === 'string' ? name : layer.replace(pattern, name!);
}

const TORCHVISION = /^(features|classifier|backbone|rpn\.head|roi_heads|conv1|layer[1-4]|body)\./;
/** torchvision's networks prepare images differently from Caffe's; see model/inputForms.ts. */
export const namedByTorchvision = (names: readonly string[]): boolean =>
  names.some((name) => TORCHVISION.test(name)) && !namedByDetectron2(names);

/** The key of a checkpoint's metadata under which the names of its classes are stored, as JSON. */
export const CLASSES = 'classes';

export function fitWeights(file: Safetensors, network: Network): WeightFit {
  const { tensors, metadata } = file;
  const { classes, targetStds } = network;
  const parameters = new Map(Object.entries(network.parameters));
  const layers = new Map(Object.entries(network.publishedNames));
  const otherClasses = CLASSES in metadata && metadata[CLASSES] !== JSON.stringify(classes);
  const fit: WeightFit = { taken: new Map(), misfits: [], unused: [] };
  const detectron2 = namedByDetectron2(Object.keys(tensors));
  const place = (from: string): void => {
    const name = detectron2 ? detectron2Parameter(from, parameters) : parameterOf(from, parameters, layers);
    if (name === undefined) return void fit.unused.push(from);
    const misfit = (why: string): void => void fit.misfits.push({ from, name, why });
    const { shape } = parameters.get(name)!;
    const found = tensors[from]!;
    const ranked = withRank(found, shape.length);
    const stored = detectron2 ? backgroundFirst(name, ranked) : convert(from, name, ranked, targetStds);
    const before = fit.taken.get(name);
    const weight = name.replace(/\.(bias|running_mean|running_var)$/, '.weight');
    if (before) misfit(`is not needed: ${name} is taken from ${before.from}`);
    else if (stored.shape.join() !== shape.join())
      misfit(`is [${found.shape.join(', ')}], ${name === from ? '' : `${name} `}in this network [${shape.join(', ')}]`);
    else if (!(stored.data instanceof Float32Array)) misfit('holds integers');
    else if (otherClasses && name.startsWith('head.')) misfit('is of other classes');
    else if (weight !== name && parameters.has(weight) && !fit.taken.has(weight)) misfit('comes without its weight');
    else fit.taken.set(name, { from, data: stored.data });
  };
  // Weights first: whether anything else of a layer is taken depends on them.
  const isOther = (name: string): boolean => (splitName(name)?.kind ?? 'weight') !== 'weight';
  const names = Object.keys(tensors).filter((name) => !name.endsWith('.num_batches_tracked'));
  for (const name of names.filter((name) => !isOther(name))) place(name);
  for (const name of names.filter(isOther)) place(name);
  return fit.taken.size === 0 && file.layers ? fitByOrder(file, network) : fit;
}

/**
 * The layers of a graph whose tensors have no name that is known (`squeezenet0_conv0_weight`, `193`), in the order in which they
 * are computed: each is the next of the network's layers that has its shape. The first that none has, usually the
 * classifier, ends it. Networks with batch normalisation are left out: exported graphs have it folded into the convolutions.
 */
function fitByOrder({ tensors, layers = [] }: Safetensors, { parameters }: Network): WeightFit {
  const fit: WeightFit = { taken: new Map(), misfits: [], unused: [] };
  const names = Object.keys(parameters);
  const weights = names.some((name) => name.endsWith('.running_mean'))
    ? []
    : names.filter((name) => name.endsWith('.weight'));
  let next = 0;
  for (const { weight, bias, inputsFirst } of layers) {
    const stored = inputsFirst ? transposed(tensors[weight]!) : tensors[weight]!;
    const place = weights.findIndex((name, i) => i >= next && parameters[name]!.shape.join() === stored.shape.join());
    if (place < 0) break;
    next = place + 1;
    const name = weights[place]!;
    const biasName = name.replace(/weight$/, 'bias');
    const rest = bias === undefined ? undefined : tensors[bias]!;
    if (rest?.shape.join() !== parameters[biasName]?.shape.join()) break;
    fit.taken.set(name, { from: weight, data: floats(stored) });
    if (rest) fit.taken.set(biasName, { from: bias!, data: floats(rest) });
  }
  const used = new Set([...fit.taken.values()].map(({ from }) => from));
  fit.unused = Object.keys(tensors).filter((name) => !used.has(name));
  return fit;
}

/** Weights that are computed with are floats; ONNX would refuse others. */
const floats = ({ data }: StoredTensor): Float32Array => Float32Array.from(data);

function transposed({ shape: [rows, columns], data }: StoredTensor): StoredTensor {
  const turned = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) turned[(i % columns!) * rows! + Math.floor(i / columns!)] = data[i]!;
  return { shape: [columns!, rows!], data: turned };
}

type Kind = 'weight' | 'bias' | 'running_mean' | 'running_var';

const KINDS: Readonly<Record<string, Kind>> = {
  '.weight': 'weight',
  '.bias': 'bias',
  _w: 'weight',
  _b: 'bias',
  '/0': 'weight',
  '/1': 'bias',
  '.running_mean': 'running_mean',
  '.running_var': 'running_var',
};

/** The layer in a tensor's name, and which of the layer's tensors it is. */
function splitName(name: string): { layer: string; kind: Kind } | undefined {
  const [, layer, end] = /^(.+?)(\.weight|\.bias|_w|_b|\/0|\/1|\.running_mean|\.running_var)$/.exec(name) ?? [];
  return layer === undefined ? undefined : { layer, kind: KINDS[end!]! };
}

/** The parameter that a tensor of detectron2's stands for, if there is one. */
function detectron2Parameter(from: string, parameters: ReadonlyMap<string, unknown>): string | undefined {
  const named = splitName(from);
  const layer = named && detectron2Layer(named.layer);
  return layer !== undefined && parameters.has(`${layer}.${named!.kind}`) ? `${layer}.${named!.kind}` : undefined;
}

/** detectron2's last layers with the background before the other classes; its deltas, which nothing reads, are zeros. */
function backgroundFirst(name: string, { shape, data }: StoredTensor): StoredTensor {
  const row = data.length / shape[0]!;
  const turned = (length: number) => new (data.constructor as new (n: number) => typeof data)(length);
  if (name.startsWith('head.cls_score.')) {
    const values = turned(data.length);
    values.set(data.subarray(data.length - row));
    values.set(data.subarray(0, data.length - row), row);
    return { shape, data: values };
  }
  if (!name.startsWith('head.bbox_pred.')) return { shape, data };
  const values = turned(data.length + 4 * row);
  values.set(data, 4 * row);
  return { shape: [shape[0]! + 4, ...shape.slice(1)], data: values };
}

/** The parameter that a tensor's name stands for, if there is one. */
function parameterOf(
  from: string,
  parameters: ReadonlyMap<string, unknown>,
  layers: ReadonlyMap<string, string>,
): string | undefined {
  if (parameters.has(from)) return from;
  const named = splitName(from);
  if (!named) return undefined;
  const own = withoutPrefix(named.layer);
  return [...(DETECTOR_LAYERS.get(named.layer) ?? []), own, ...[layers.get(own) ?? []].flat(), `${own}.0`]
    .flatMap((layer) => [layer, ...[layers.get(layer) ?? []].flat()])
    .map((candidate) => `${candidate}.${named.kind}`)
    .find((name) => parameters.has(name));
}

/** A detector's `backbone.body.0` or `backbone.features.0` is the classifier's `features.0`; its heads have names of their own. */
function withoutPrefix(layer: string): string {
  const inner = layer.replace(/^((backbone\.)?body\.|backbone\.)/, '');
  if (inner !== layer && /^\d/.test(inner)) return `features.${inner}`;
  return inner.replace(/^roi_heads\.(box_head\.(?=fc))?/, '').replace(/^rpn\.head\./, 'rpn.');
}

/** Old Caffe files have four axes everywhere: fc6 is [1, 1, 4096, 25088] and its bias [1, 1, 1, 4096]. */
function withRank({ shape, data }: StoredTensor, rank: number): StoredTensor {
  const extra = Math.max(0, shape.length - rank);
  return { shape: shape.slice(0, extra).every((n) => n === 1) ? shape.slice(extra) : shape, data };
}

/** The values in the form that our networks use. */
function convert(from: string, name: string, stored: StoredTensor, targetStds: readonly number[]): StoredTensor {
  if (from.startsWith('rpn.head.cls_logits.') && name.startsWith('rpn.cls_score.')) return withBackground(stored);
  // Caffe's files give deltas in units of the box, Caffe2's (_w, _b) and ours in units of the targets' deviations.
  return /^bbox_pred[./]/.test(from) ? divideRows(stored, targetStds) : stored;
}

/** The A logits of a sigmoid as 2A logits of a softmax, backgrounds first: the softmax of (0, x) is the sigmoid of x. */
function withBackground({ shape, data }: StoredTensor): StoredTensor {
  const both = new Float32Array(2 * data.length);
  both.set(data, data.length);
  return { shape: [2 * shape[0]!, ...shape.slice(1)], data: both };
}

function divideRows({ shape, data }: StoredTensor, stds: readonly number[]): StoredTensor {
  const row = data.length / shape[0]!;
  return { shape, data: Float32Array.from(data, (value, i) => value / stds[Math.floor(i / row) % stds.length]!) };
}
