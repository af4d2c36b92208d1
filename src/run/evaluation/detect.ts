/** Detections of a trained network, one image at a time, as plain objects. */
import { WarmUp } from '../../engine/warmUp.ts';
import type { Detection } from '../../eval/voc.ts';
import type { ProposalConfig } from '../../model/config.ts';
import { capable, type Detections, type Detector, type Proposals } from '../../model/detector.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';

/** Columns of the model's result: x1, y1, x2, y2, score, class. */
const COLUMNS = 6;

/** A region proposal in pixels of the image, inclusive corners; `score` is its objectness. */
export interface Proposal {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  score: number;
}

/** The parts of a detection (paper, table 5): upload and resizing, convolutions, proposals, the head on every region. */
export const STAGES = ['image', 'conv', 'proposal', 'region'] as const;

export interface StagedDetection {
  detections: Detection[];
  /** The proposals that the head received, best first. */
  proposals: Proposal[];
  /** The time of each part, until the device had finished it. */
  milliseconds: Record<(typeof STAGES)[number], number>;
}

const warmUps = new WeakMap<Detector, WarmUp>();

/** Compiles the shaders of a detection without blocking the thread, so that a page stays responsive. */
function compileFor(model: Detector, pixels: DecodedImage): Promise<void> {
  const warmUp = warmUps.get(model) ?? new WarmUp(model.gpu);
  warmUps.set(model, warmUp);
  return warmUp.before(`${pixels.width}x${pixels.height}`, () => void model.detect(model.prepare(pixels)));
}

/** The detections in an image, best first, in pixels of that image. `seed`: see `Detector.propose`. */
export async function detectImage(model: Detector, pixels: DecodedImage, seed = 0): Promise<Detection[]> {
  await compileFor(model, pixels);
  return readDetections(model.gpu.scope(() => model.detect(model.prepare(pixels), seed)));
}

/** Like `detectImage`, but part by part, and slower, since it waits for the device after each. Times exclude compilation. */
export async function detectInStages(model: Detector, pixels: DecodedImage): Promise<StagedDetection> {
  const { gpu } = model;
  await compileFor(model, pixels);
  const milliseconds = {} as StagedDetection['milliseconds'];
  const timed = async <T>(stage: keyof typeof milliseconds, compute: () => T): Promise<T> => {
    const start = performance.now();
    const result = compute();
    await gpu.finish();
    milliseconds[stage] = performance.now() - start;
    return result;
  };
  return gpu.scope(async () => {
    const image = await timed('image', () => model.prepare(pixels));
    const maps = await timed('conv', () => model.convolve(image));
    const proposals = await timed('proposal', () => model.proposeOn(maps, image));
    const found = await timed('region', () => model.classify(maps, proposals, image));
    const read = await readProposals(proposals, image.scale);
    return { detections: await readDetections(found), proposals: read, milliseconds };
  });
}

/**
 * The regions of an image that the detector classifies, in pixels of that image, best first, with their objectness; with
 * `limits` the proposals of its RPN within those. `seed`: see `Detector.propose`.
 */
export async function proposeImage(
  model: Detector,
  pixels: DecodedImage,
  limits?: ProposalConfig,
  seed?: number,
): Promise<Proposal[]> {
  const { proposals, scale } = model.gpu.scope(() => {
    const image = model.prepare(pixels);
    const proposals = limits
      ? capable(model, 'propose').propose(image, limits, seed)
      : model.proposeOn(model.convolve(image), image, seed);
    return { proposals, scale: image.scale };
  });
  return readProposals(proposals, scale);
}

/** What the model found, as plain objects; frees its tensors. */
export async function readDetections({ rows, count }: Detections): Promise<Detection[]> {
  // Both reads are started together, so that the device is waited for only once.
  const [values, [found = 0]] = await Promise.all([rows.read(), count.read()]);
  rows.dispose();
  count.dispose();
  return Array.from({ length: found }, (_, i) => {
    const [x1, y1, x2, y2, score, classIndex] = values.subarray(i * COLUMNS, (i + 1) * COLUMNS) as unknown as number[];
    return { x1: x1!, y1: y1!, x2: x2!, y2: y2!, score: score!, classIndex: classIndex! };
  });
}

/** Reads proposals and frees them. `scale`: pixels of the network's input per pixel of the image. */
async function readProposals({ rois, scores, anchors, count }: Proposals, scale: number): Promise<Proposal[]> {
  const [boxes, objectness, [found = 0]] = await Promise.all([rois.read(), scores.read(), count.read()]);
  [rois, scores, anchors, count].forEach((tensor) => tensor.dispose());
  return Array.from({ length: found }, (_, i) => ({
    x1: boxes[i * 5 + 1]! / scale,
    y1: boxes[i * 5 + 2]! / scale,
    x2: boxes[i * 5 + 3]! / scale,
    y2: boxes[i * 5 + 4]! / scale,
    score: objectness[i]!,
  }));
}
