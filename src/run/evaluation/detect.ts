/** Detections of a trained network, one image at a time, as plain objects. */
import { WarmUp } from '../../engine/warmUp.ts';
import type { Detection } from '../../eval/voc.ts';
import type { ScoredBoxes } from '../../kernels/boxes.ts';
import type { ProposalConfig } from '../../model/config.ts';
import { capable, type Detections, type Detector, type Proposals } from '../../model/detector.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';

/** Columns of the model's result: x1, y1, x2, y2, score, class. */
const COLUMNS = 6;

/** A region proposal in pixels of the image, inclusive corners; `score` is its objectness, or what another method scored it. */
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
function compileFor(model: Detector, pixels: DecodedImage, proposals?: ScoredBoxes): Promise<void> {
  const warmUp = warmUps.get(model) ?? new WarmUp(model.gpu);
  warmUps.set(model, warmUp);
  const detection = (): void => void model.detect(model.prepare(pixels, false, proposals));
  return warmUp.before(`${pixels.width}x${pixels.height}`, detection);
}

/**
 * The detections in an image, best first, in pixels of that image. `seed`: see `Detector.propose`. `proposals`: regions of the
 * image, for a detector that classifies those of another method.
 */
export async function detectImage(
  model: Detector,
  pixels: DecodedImage,
  seed = 0,
  proposals?: ScoredBoxes,
): Promise<Detection[]> {
  await compileFor(model, pixels, proposals);
  return readDetections(model.gpu.scope(() => model.detect(model.prepare(pixels, false, proposals), seed)));
}

/** Like `detectImage`, but part by part, and slower, since it waits for the device after each. Times exclude compilation. */
export async function detectInStages(
  model: Detector,
  pixels: DecodedImage,
  proposals?: ScoredBoxes,
): Promise<StagedDetection> {
  const { gpu } = model;
  await compileFor(model, pixels, proposals);
  const milliseconds = {} as StagedDetection['milliseconds'];
  const timed = async <T>(stage: keyof typeof milliseconds, compute: () => T): Promise<T> => {
    const start = performance.now();
    const result = compute();
    await gpu.finish();
    milliseconds[stage] = performance.now() - start;
    return result;
  };
  return gpu.scope(async () => {
    const image = await timed('image', () => model.prepare(pixels, false, proposals));
    const maps = await timed('conv', () => model.convolve(image));
    const regions = await timed('proposal', () => model.proposeOn(maps, image));
    const found = await timed('region', () => model.classify(maps, regions, image));
    const read = await plainProposals(regions, image.scale);
    return { detections: await readDetections(found), proposals: read, milliseconds };
  });
}

/** Which regions of an image are asked for. */
export interface ProposalRequest {
  /** Those of the network for proposals, within these limits; without it what the detector classifies. */
  limits?: ProposalConfig;
  /** See `Detector.propose`. */
  seed?: number;
  /** See `detectImage`. */
  proposals?: ScoredBoxes | undefined;
}

/** The regions of an image that the detector classifies, in pixels of that image, best first, with their objectness. */
export async function proposeImage(
  model: Detector,
  pixels: DecodedImage,
  { limits, seed, proposals: given }: ProposalRequest = {},
): Promise<Proposal[]> {
  const { proposals, scale } = model.gpu.scope(() => {
    const image = model.prepare(pixels, false, given);
    const proposals = limits
      ? capable(model, 'propose').propose(image, limits, seed)
      : model.proposeOn(model.convolve(image), image, seed);
    return { proposals, scale: image.scale };
  });
  return plainProposals(proposals, scale);
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
async function plainProposals({ rois, scores, anchors, count }: Proposals, scale: number): Promise<Proposal[]> {
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
