/** How a detector is made and trained for a few labelled pictures: the sizes of its input and anchors follow from the boxes. */
import { type AnnotatedBox, type DetectorConfig, PRESETS, type TrainingConfig, withSteps } from '../../src/index.ts';

/** What is known of a picture for this purpose. */
export interface SizedPicture {
  width: number;
  height: number;
  boxes: readonly Pick<AnnotatedBox, 'x1' | 'y1' | 'x2' | 'y2'>[];
}

/** The backbones for which there is a recipe. */
export const LABEL_BACKBONES = ['small', 'squeezenet1_1'] as const;
export type LabelBackbone = (typeof LABEL_BACKBONES)[number];

export const isLabelBackbone = (name: string): name is LabelBackbone =>
  (LABEL_BACKBONES as readonly string[]).includes(name);

/**
 * Sides in pixels of the network's input, in which an object's side is the square root of its area: an object of median size gets
 * `median`, the smallest tenth at least `least`, and the shorter side of the input stays between `sides`.
 */
const RECIPES = {
  small: { preset: 'demo', median: 40, least: 20, sides: [96, 480] },
  squeezenet1_1: { preset: 'photos', median: 96, least: 48, sides: [224, 640] },
} as const satisfies Record<LabelBackbone, object>;

/** Neighbouring sizes of anchors differ by this factor at least: below it, one anchor would serve for both. */
const LEAST_FACTOR = 1.4;
const MULTIPLE = 16;

/** The network. It has as many anchors as the preset, so that the weights of another run of this backbone fit. */
export function labelDetector(
  backbone: LabelBackbone,
  classes: readonly string[],
  pictures: readonly SizedPicture[],
): DetectorConfig {
  const { preset, median, least, sides } = RECIPES[backbone];
  const { detector } = PRESETS[preset]!;
  const { ratios, sizes } = detector.anchors;
  const config = { ...detector, classes: [...classes] };
  const shares = pictures.flatMap(({ width, height, boxes }) =>
    boxes.map(({ x1, y1, x2, y2 }) => Math.sqrt((x2 - x1 + 1) * (y2 - y1 + 1)) / Math.min(width, height)),
  );
  if (shares.length === 0) return config;
  const [small, middle, large] = quantiles(shares, [0.1, 0.5, 0.9]) as [number, number, number];
  const wanted = Math.max(median / middle, least / small);
  const shorterSide = Math.min(Math.max(Math.round(wanted / MULTIPLE) * MULTIPLE, sides[0]), sides[1]);
  const centre = middle * shorterSide;
  const anchors = Array.from({ length: sizes.length }, (_, i) => {
    const place = (2 * i) / (sizes.length - 1) - 1; // -1 for the smallest, 1 for the largest
    const reached = place < 0 ? (small / middle) ** -place : (large / middle) ** place;
    const spread = LEAST_FACTOR ** ((sizes.length - 1) / 2);
    return Math.round(centre * (place < 0 ? Math.min(reached, spread ** place) : Math.max(reached, spread ** place)));
  });
  return {
    ...config,
    input: { ...detector.input, shorterSide, longerSide: 2 * shorterSide },
    anchors: { sizes: anchors, ratios },
  };
}

/** The training: the preset's, with a warm-up that suits so few steps. `flip`: whether mirrored pictures show the same classes. */
export function labelTraining(
  backbone: LabelBackbone,
  { steps, flip, seed }: { steps: number; flip: boolean; seed: number },
): TrainingConfig {
  const { training } = PRESETS[RECIPES[backbone].preset]!;
  return { ...withSteps({ ...training, seed }, steps), flip, warmup: Math.min(training.warmup, Math.ceil(steps / 6)) };
}

/** The values at these quantiles, 0 to 1. */
function quantiles(values: readonly number[], shares: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return shares.map((share) => sorted[Math.round(share * (sorted.length - 1))]!);
}
