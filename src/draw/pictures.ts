/**
 * Pictures with boxes: detections, ground truth, proposals, and sheets of many.
 *
 * Boxes are 0-based and inclusive, in pixels of the picture; a box is drawn around its pixels, from x1 to x2 + 1.
 * Small pictures are enlarged by a whole factor, so that lines and labels stay small beside the objects.
 */
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import { type Canvas, FONT, type SKRSContext2D, newCanvas } from './canvas.ts';
import { classColour, scoreColour } from './colours.ts';
import { placeLabels } from './labelPlaces.ts';

interface DrawnBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export interface DrawnDetection extends DrawnBox {
  classIndex: number;
  score: number;
}

export interface DrawnTruth extends DrawnBox {
  classIndex: number;
}

export interface DrawOptions {
  /** Drawn dashed, with the name of the class if there are no detections that show it. */
  groundTruth?: readonly DrawnTruth[];
  /** Enlargement; by default the shorter side becomes about 480 pixels. */
  scale?: number;
}

/** Boxes in the colours of their classes, labelled 'name 0.98', the highest score on top. `classes[0]` is the background. */
export function drawDetections(
  picture: DecodedImage,
  detections: readonly DrawnDetection[],
  classes: readonly string[],
  { groundTruth = [], scale = defaultScale(picture) }: DrawOptions = {},
): Canvas {
  const { canvas, context } = enlarged(picture, scale);
  const thick = lineWidth(canvas);
  for (const truth of groundTruth) strokeDashed(context, truth, scale, thick);
  const order = [...detections].sort((a, b) => a.score - b.score);
  for (const detection of order) {
    context.lineWidth = thick + 2;
    context.strokeStyle = 'rgb(0 0 0 / 0.45)';
    strokeBox(context, detection, scale);
    context.lineWidth = thick;
    context.strokeStyle = classColour(detection.classIndex);
    strokeBox(context, detection, scale);
  }
  // Labels come after all boxes, so that no neighbour's line crosses a name.
  const labels =
    detections.length === 0
      ? groundTruth.map((truth) => ({ ...truth, text: classes[truth.classIndex]! }))
      : order.toReversed().map((one) => ({ ...one, text: `${classes[one.classIndex]} ${one.score.toFixed(2)}` }));
  drawLabels(context, labels, scale);
  return canvas;
}

/**
 * Proposals as thin boxes, coloured by objectness from violet (0) to yellow (1), the best on top, over a dimmed picture;
 * ground truth dashed. `rois[i]` is x1, y1, x2, y2 in pixels of the picture.
 */
export function drawProposals(
  picture: DecodedImage,
  rois: readonly ArrayLike<number>[],
  scores: ArrayLike<number>,
  groundTruth: readonly DrawnTruth[] = [],
  scale = defaultScale(picture),
): Canvas {
  const { canvas, context } = enlarged(picture, scale);
  context.fillStyle = 'rgb(0 0 0 / 0.3)';
  context.fillRect(0, 0, canvas.width, canvas.height);
  const thick = lineWidth(canvas);
  const order = rois.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  context.lineWidth = Math.max(1.5, thick / 2);
  for (const i of order) {
    const roi = rois[i]!;
    context.globalAlpha = 0.5 + 0.5 * Math.min(1, Math.max(0, scores[i]!));
    context.strokeStyle = scoreColour(scores[i]!);
    strokeBox(context, { x1: roi[0]!, y1: roi[1]!, x2: roi[2]!, y2: roi[3]! }, scale);
  }
  context.globalAlpha = 1;
  for (const truth of groundTruth) strokeDashed(context, truth, scale, thick);
  return canvas;
}

export interface SheetOptions {
  /** A line above the sheet. */
  title?: string;
  /** A line under each canvas. */
  captions?: readonly string[];
}

/** Canvases side by side in rows of `columns`, each in a cell as large as the largest. */
export function contactSheet(
  canvases: readonly Canvas[],
  columns: number,
  { title, captions }: SheetOptions = {},
): Canvas {
  const gap = 12;
  const cellWidth = Math.max(...canvases.map((canvas) => canvas.width));
  const picturesHeight = Math.max(...canvases.map((canvas) => canvas.height));
  const cellHeight = picturesHeight + (captions ? 26 : 0);
  const across = Math.min(columns, canvases.length);
  const rows = Math.ceil(canvases.length / columns);
  const head = title === undefined ? 0 : 40;
  const sheet = newCanvas(gap + across * (cellWidth + gap), head + gap + rows * (cellHeight + gap));
  const context = sheet.getContext('2d');
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = '#1c1c1e';
  context.textBaseline = 'middle';
  if (title !== undefined) {
    context.font = `bold 20px "${FONT}"`;
    context.fillText(title, gap, gap + head / 2, sheet.width - 2 * gap);
  }
  context.font = `15px "${FONT}"`;
  context.textAlign = 'center';
  canvases.forEach((canvas, i) => {
    const x = gap + (i % columns) * (cellWidth + gap);
    const y = head + gap + Math.floor(i / columns) * (cellHeight + gap);
    context.drawImage(canvas, x + (cellWidth - canvas.width) / 2, y + (picturesHeight - canvas.height) / 2);
    const caption = captions?.[i];
    if (caption !== undefined) context.fillText(caption, x + cellWidth / 2, y + picturesHeight + 15, cellWidth);
  });
  return sheet;
}

const defaultScale = ({ width, height }: DecodedImage): number =>
  Math.max(1, Math.round(480 / Math.min(width, height)));

const lineWidth = (canvas: Canvas): number => Math.max(2, Math.round(Math.min(canvas.width, canvas.height) / 200));

function enlarged(picture: DecodedImage, scale: number): { canvas: Canvas; context: SKRSContext2D } {
  const original = newCanvas(picture.width, picture.height);
  const pixels = original.getContext('2d').createImageData(picture.width, picture.height);
  pixels.data.set(picture.rgba);
  original.getContext('2d').putImageData(pixels, 0, 0);
  const canvas = newCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale));
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(original, 0, 0, canvas.width, canvas.height);
  return { canvas, context };
}

function strokeBox(context: SKRSContext2D, { x1, y1, x2, y2 }: DrawnBox, scale: number): void {
  context.strokeRect(x1 * scale, y1 * scale, (x2 - x1 + 1) * scale, (y2 - y1 + 1) * scale);
}

/** White dashes on a dark line, visible on any background. */
function strokeDashed(context: SKRSContext2D, box: DrawnBox, scale: number, thick: number): void {
  context.lineWidth = thick;
  context.strokeStyle = 'rgb(0 0 0 / 0.6)';
  strokeBox(context, box, scale);
  context.strokeStyle = '#ffffff';
  context.setLineDash([3 * thick, 2 * thick]);
  strokeBox(context, box, scale);
  context.setLineDash([]);
}

/** Each text on a filled tab in the colour of its class; `labels`: the most important first, on top. */
function drawLabels(
  context: SKRSContext2D,
  labels: readonly (DrawnBox & { text: string; classIndex: number })[],
  scale: number,
): void {
  const { width, height } = context.canvas;
  const size = Math.min(16, Math.max(11, Math.round(Math.min(width, height) / 36)));
  context.font = `bold ${size}px "${FONT}"`;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  const edge = context.lineWidth / 2;
  const tabs = labels.map(({ x1, y1, x2, y2, text }) => ({
    x1: x1 * scale - edge,
    y1: y1 * scale - edge,
    x2: (x2 + 1) * scale + edge,
    y2: (y2 + 1) * scale + edge,
    width: context.measureText(text).width + 8,
    height: size + 5,
  }));
  const places = placeLabels(tabs, { width, height });
  for (let i = labels.length - 1; i >= 0; i--) {
    const { x, y } = places[i]!;
    context.fillStyle = classColour(labels[i]!.classIndex);
    context.fillRect(x, y, tabs[i]!.width, tabs[i]!.height);
    // The canvas has resolved the colour's name to #rrggbb.
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(String(context.fillStyle).slice(at, at + 2), 16));
    context.fillStyle = 0.299 * red! + 0.587 * green! + 0.114 * blue! > 140 ? '#000000' : '#ffffff';
    context.fillText(labels[i]!.text, x + 4, y + tabs[i]!.height / 2 + 1);
  }
}
