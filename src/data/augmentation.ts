/**
 * Augmentation: what is drawn for an image of a training step, and where its boxes go. The pixels follow on the device
 * (kernels/placePicture.ts).
 *
 * A draw is a pure function of the seed, the step and the image, so a resumed run sees the same pictures. The composition has the
 * size of the first picture (turned, if that is), so that no new shapes come up: what is cut out of a picture is enlarged to fit,
 * and what is scaled down is surrounded by the mean colour.
 *
 * Boxes are cut at the edge of what is seen of their picture; a box with less than VISIBLE of its area left is dropped.
 */
import type { ScoredBoxes } from '../kernels/boxes.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import { type ColourMap, type Composition, LUMA, type Orientation, type PicturePart } from '../kernels/placePicture.ts';
import { Random, seedOf } from '../kernels/rng.ts';
import { countedBoxes } from './boxes.ts';
import type { AnnotatedBox, Sample } from './types.ts';

/** Each change is drawn at random; one that is left out is not made. */
export interface Augmentation {
  /** Range of the factor by which objects become larger. */
  scale?: readonly [number, number] | undefined;
  /** The smallest share of the width and of the height that a crop leaves. */
  crop?: number | undefined;
  /** By how much the factors of the colours differ from 1 at most. */
  brightness?: number | undefined;
  contrast?: number | undefined;
  saturation?: number | undefined;
  /** By how much of a full turn hues are moved at most. */
  hue?: number | undefined;
  /** Whether pictures are turned by 0, 90, 180 or 270 degrees. */
  rotate?: boolean | undefined;
  /** Whether half of the pictures are mirrored top to bottom. */
  flipVertical?: boolean | undefined;
  /** The share of steps whose image is a mosaic of four. */
  mosaic?: number | undefined;
}

/** An image as it is trained on. */
export interface AugmentedSample {
  picture: Composition;
  /** Inclusive corners, pixels of the composition. */
  boxes: AnnotatedBox[];
  proposals?: ScoredBoxes | undefined;
}

/** The least share of a box's area that must still be seen. */
export const VISIBLE = 0.3;
/** The middle of a mosaic lies within this share of the sides, and as far from the other end. */
const MOSAIC_MARGIN = 0.3;
/** Keeps these draws apart from other uses of the run's seed; the stream of an image is this plus its index. */
const AUGMENTATION_STREAM = 0xa0630000;

interface Edges {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** A picture with its boxes, and whether it is to be mirrored left to right. */
export interface Original {
  sample: Pick<Sample, 'boxes' | 'proposals'>;
  picture: DecodedImage;
  flip: boolean;
}

/** The generator of an image's draws at a step. */
export const augmentationRandom = (seed: number, step: number, index: number): Random =>
  new Random(seedOf(seed, step), AUGMENTATION_STREAM + index);

/** Whether the next image is a mosaic, for which `augment` needs three more originals. To be drawn first. */
export const drawsMosaic = (random: Random, { mosaic = 0 }: Augmentation): boolean =>
  mosaic > 0 && random.next() < mosaic;

/** One original, or the four of a mosaic: left and right above, left and right below. */
export function augment(random: Random, originals: readonly Original[], augmentation: Augmentation): AugmentedSample {
  const orientations = originals.map(({ flip }) => drawOrientation(random, flip, augmentation));
  const { width, height } = turned(originals[0]!.picture, orientations[0]!);
  const areas = originals.length === 1 ? [{ left: 0, top: 0, right: width, bottom: height }] : mosaicAreas(random, width, height); // prettier-ignore
  const placed = originals.map((original, i) => place(random, original, orientations[i]!, areas[i]!, augmentation));
  const proposals = placed.flatMap(({ proposals }) => proposals ?? []);
  return {
    picture: { width, height, parts: placed.map(({ part }) => part) },
    boxes: placed.flatMap(({ boxes }) => boxes),
    ...(originals.every(({ sample }) => sample.proposals) && { proposals: joined(proposals, width, height) }),
  };
}

function drawOrientation(random: Random, flip: boolean, { rotate, flipVertical }: Augmentation): Orientation {
  const quarters = rotate ? random.integer(4) : 0;
  const upsideDown = flipVertical === true && random.next() < 0.5;
  return {
    turn: quarters % 2 === 1,
    mirrorX: (quarters === 1 || quarters === 2) !== flip,
    mirrorY: quarters >= 2 !== upsideDown,
  };
}

const turned = ({ width, height }: DecodedImage, { turn }: Orientation) =>
  turn ? { width: height, height: width } : { width, height };

function mosaicAreas(random: Random, width: number, height: number): Edges[] {
  const middle = (side: number): number => Math.round(side * random.uniform(MOSAIC_MARGIN, 1 - MOSAIC_MARGIN));
  const [x, y] = [middle(width), middle(height)];
  return [
    { left: 0, top: 0, right: x, bottom: y },
    { left: x, top: 0, right: width, bottom: y },
    { left: 0, top: y, right: x, bottom: height },
    { left: x, top: y, right: width, bottom: height },
  ];
}

function place(random: Random, original: Original, orientation: Orientation, area: Edges, augmentation: Augmentation) {
  const { sample, picture } = original;
  const { width, height } = turned(picture, orientation);
  const edges = (box: Pick<AnnotatedBox, 'x1' | 'y1' | 'x2' | 'y2'>) => turnedEdges(box, orientation, width, height);
  // The object that stays whole, if it can.
  const objects = countedBoxes(sample.boxes);
  const kept = objects.length > 0 ? edges(objects[random.integer(objects.length)]!) : undefined;
  const { scale, crop = 1 } = augmentation;
  const window = { left: 0, top: 0, right: width, bottom: height };
  if (crop < 1) {
    // An object that is larger than the crop widens it.
    const size = (side: number, object = 0): number => Math.max(object, side * random.uniform(crop, 1));
    [window.left, window.right] = cut(
      random,
      0,
      width,
      size(width, kept && kept.right - kept.left),
      kept?.left,
      kept?.right,
    );
    [window.top, window.bottom] = cut(
      random,
      0,
      height,
      size(height, kept && kept.bottom - kept.top),
      kept?.top,
      kept?.bottom,
    );
  }
  const [wide, high] = [area.right - area.left, area.bottom - area.top];
  const factor = scale ? Math.exp(random.uniform(Math.log(scale[0]), Math.log(scale[1]))) : 1;
  const k = factor * Math.min(wide / (window.right - window.left), high / (window.bottom - window.top));
  [window.left, window.right] = cut(random, window.left, window.right, wide / k, kept?.left, kept?.right);
  [window.top, window.bottom] = cut(random, window.top, window.bottom, high / k, kept?.top, kept?.bottom);
  const shift = (from: number, space: number, seen: number): number => from + Math.max(0, space - seen) * random.next();
  const left = shift(area.left, wide, k * (window.right - window.left));
  const top = shift(area.top, high, k * (window.bottom - window.top));
  const part: PicturePart = {
    picture,
    ...orientation,
    left,
    top,
    right: left + k * (window.right - window.left),
    bottom: top + k * (window.bottom - window.top),
    perX: 1 / k,
    perY: 1 / k,
    startX: window.left - left / k,
    startY: window.top - top / k,
    colour: drawColour(random, augmentation),
  };
  const moved = (box: Parameters<typeof edges>[0]) => {
    const whole = edges(box);
    const seen = within(whole, window);
    if (seen === null || areaOf(seen) < VISIBLE * areaOf(whole)) return null;
    const [x1, y1] = [k * (seen.left - window.left) + left, k * (seen.top - window.top) + top];
    const [x2, y2] = [k * (seen.right - window.left) + left - 1, k * (seen.bottom - window.top) + top - 1];
    return x2 >= x1 && y2 >= y1 ? { x1, y1, x2, y2 } : null;
  };
  return {
    part,
    boxes: sample.boxes.flatMap((box) => {
      const place = moved(box);
      // COCO's own box and area are those of the file; nothing that trains reads them.
      const { bbox: _bbox, area: _area, ...rest } = box;
      return place ? [{ ...rest, ...place }] : [];
    }),
    proposals: sample.proposals && movedProposals(sample.proposals, moved),
  };
}

/** An interval of `size` within [from, to], or all of that if it is no longer; with [first, last] in it where that fits. */
function cut(random: Random, from: number, to: number, size: number, first = from, last = first): [number, number] {
  if (size >= to - from) return [from, to];
  const fits = last - first <= size;
  const low = fits ? Math.max(from, last - size) : from;
  const high = fits ? Math.min(first, to - size) : to - size;
  const start = Math.min(Math.max(random.uniform(Math.min(low, high), Math.max(low, high)), from), to - size);
  return [start, start + size];
}

function turnedEdges(
  { x1, y1, x2, y2 }: Pick<AnnotatedBox, 'x1' | 'y1' | 'x2' | 'y2'>,
  { turn, mirrorX, mirrorY }: Orientation,
  width: number,
  height: number,
): Edges {
  let [left, top, right, bottom] = turn ? [y1, x1, y2 + 1, x2 + 1] : [x1, y1, x2 + 1, y2 + 1];
  if (mirrorX) [left, right] = [width - right, width - left];
  if (mirrorY) [top, bottom] = [height - bottom, height - top];
  return { left, top, right, bottom };
}

function within(box: Edges, window: Edges): Edges | null {
  const left = Math.max(box.left, window.left);
  const top = Math.max(box.top, window.top);
  const right = Math.min(box.right, window.right);
  const bottom = Math.min(box.bottom, window.bottom);
  return left < right && top < bottom ? { left, top, right, bottom } : null;
}

const areaOf = ({ left, top, right, bottom }: Edges): number => (right - left) * (bottom - top);

type Moved = { x1: number; y1: number; x2: number; y2: number } | null;

function movedProposals({ boxes, scores }: ScoredBoxes, moved: (box: NonNullable<Moved>) => Moved) {
  return Array.from(scores, (score, i) => {
    const [x1, y1, x2, y2] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    return { score, box: moved({ x1, y1, x2, y2 }) };
  });
}

/** The proposals of all parts, best first; the whole picture if none is left. */
function joined(proposals: readonly { score: number; box: Moved }[], width: number, height: number): ScoredBoxes {
  const left = proposals.filter(({ box }) => box !== null).sort((a, b) => b.score - a.score);
  const all = left.length > 0 ? left : [{ score: 0, box: { x1: 0, y1: 0, x2: width - 1, y2: height - 1 } }];
  return {
    boxes: Float32Array.from(all.flatMap(({ box }) => [box!.x1, box!.y1, box!.x2, box!.y2])),
    scores: Float32Array.from(all, ({ score }) => score),
  };
}

const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1] as const;

const product = (a: readonly number[], b: readonly number[]): number[] =>
  IDENTITY.map((_, i) => [0, 1, 2].reduce((sum, j) => sum + a[3 * Math.floor(i / 3) + j]! * b[3 * j + (i % 3)]!, 0));

/** SVG's feColorMatrix of type saturate: 1 leaves the colours, 0 makes them grey. */
const saturationMatrix = (s: number): number[] =>
  IDENTITY.map((one, i) => (1 - s) * LUMA[(i % 3) as 0 | 1 | 2] + s * one);

/** SVG's feColorMatrix of type hueRotate, which leaves greys as they are. */
function hueMatrix(angle: number): number[] {
  const cosine = [0.787, -0.715, -0.072, -0.213, 0.285, -0.072, -0.213, -0.715, 0.928];
  const sine = [-0.213, -0.715, 0.928, 0.143, 0.14, -0.283, -0.787, 0.715, 0.072];
  return cosine.map((c, i) => LUMA[(i % 3) as 0 | 1 | 2] + c * Math.cos(angle) + sine[i]! * Math.sin(angle));
}

/** Brightness, contrast about the mean luma, saturation, hue, in this order. */
function drawColour(random: Random, augmentation: Augmentation): ColourMap {
  const factor = (range: number | undefined): number =>
    range === undefined ? 1 : random.uniform(Math.max(0, 1 - range), 1 + range);
  const brightness = factor(augmentation.brightness);
  const contrast = factor(augmentation.contrast);
  const saturation = factor(augmentation.saturation);
  const hue = augmentation.hue === undefined ? 0 : 2 * Math.PI * random.uniform(-augmentation.hue, augmentation.hue);
  const light = IDENTITY.map((one) => one * brightness * contrast);
  const saturated = saturation === 1 ? light : product(saturationMatrix(saturation), light);
  return {
    matrix: hue === 0 ? saturated : product(hueMatrix(hue), saturated),
    grey: brightness * (1 - contrast),
  };
}
