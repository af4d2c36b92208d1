/** Detections of a trained network, one image at a time, as plain objects. */
import type { Tensor } from '../engine/tensor.ts';
import type { Detection } from '../eval/voc.ts';
import type { ProposalConfig } from '../model/config.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import type { Pixels } from '../model/prepareImage.ts';

/** Columns of the model's result: x1, y1, x2, y2, score, class. */
const COLUMNS = 6;

/** The detections in an image, best first, in pixels of that image. */
export async function detectImage(model: FasterRcnn, pixels: Pixels): Promise<Detection[]> {
  return readDetections(model.gpu.scope(() => model.detect(model.prepare(pixels))));
}

/** What the model found, as plain objects; frees its tensors. */
export async function readDetections({ rows, count }: { rows: Tensor; count: Tensor }): Promise<Detection[]> {
  // Both are read in one go: the second read finds the work of the first already done.
  const [values, [found = 0]] = await Promise.all([rows.read(), count.read()]);
  rows.dispose();
  count.dispose();
  return Array.from({ length: found }, (_, i) => {
    const [x1, y1, x2, y2, score, classIndex] = values.subarray(i * COLUMNS, (i + 1) * COLUMNS) as unknown as number[];
    return { x1: x1!, y1: y1!, x2: x2!, y2: y2!, score: score!, classIndex: classIndex! };
  });
}

/** The proposals of an image in pixels of that image, best first, with their objectness; `limits`: as at test time. */
export async function proposeImage(
  model: FasterRcnn,
  pixels: Pixels,
  limits?: ProposalConfig,
): Promise<{ x1: number; y1: number; x2: number; y2: number; score: number }[]> {
  const { gpu } = model;
  const { proposals, scale } = gpu.scope(() => {
    const image = model.prepare(pixels);
    return { proposals: model.propose(image, limits), scale: image.scale };
  });
  const { rois, scores, anchors, count } = proposals;
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
