/** Draws an image on a canvas with what was found in it: boxes with class and score, or the proposals they came from. */
import { classColour, type DecodedImage, placeLabels, scoreColour, type StagedDetection } from '../src/index.ts';

export type Layer = 'proposals' | 'detections';
export const LAYERS: Readonly<Record<Layer, string>> = { proposals: '1 Proposals', detections: '2 Detections' };

export interface View {
  picture: CanvasImageSource & { width: number; height: number };
  found?: StagedDetection;
  classes: readonly string[];
  layer: Layer;
  /** Detections with a lower score are not drawn. */
  threshold: number;
}

/** How many of the best proposals are drawn. */
const SHOWN_PROPOSALS = 20;

/** The pixels of an image as something that a canvas can draw. */
export function bitmap({ width, height, rgba }: DecodedImage): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d')!.putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
  return canvas;
}

/** The pixels of something that a canvas can draw. */
export function pixels(picture: CanvasImageSource & { width: number; height: number }): DecodedImage {
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.drawImage(picture, 0, 0);
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}

/** Draws at the width of the canvas in the page and the pixel density of the screen. */
export function draw(canvas: HTMLCanvasElement, { picture, found, classes, layer, threshold }: View): void {
  const width = canvas.clientWidth || picture.width;
  const scale = width / picture.width;
  const density = devicePixelRatio;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(picture.height * scale * density);
  const context = canvas.getContext('2d')!;
  context.scale(density, density);
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, width, picture.height * scale);
  if (!found) return;
  const outline = ({ x1, y1, x2, y2 }: DrawnBox, thickness: number, style: string): void => {
    context.lineWidth = thickness;
    context.strokeStyle = style;
    // The corners are inclusive, so the outline goes around the last pixels as well.
    context.strokeRect(x1 * scale, y1 * scale, (x2 - x1 + 1) * scale, (y2 - y1 + 1) * scale);
  };
  if (layer === 'proposals') {
    context.fillStyle = 'rgb(0 0 0 / 0.35)';
    context.fillRect(0, 0, width, picture.height * scale);
    // The highest score is drawn last, on top, in yellow; the lowest is violet.
    for (const proposal of found.proposals.slice(0, SHOWN_PROPOSALS).reverse()) {
      outline(proposal, 1.5, scoreColour(proposal.score));
    }
    return;
  }
  const shown = found.detections.filter(({ score }) => score >= threshold).reverse();
  for (const detection of shown) {
    outline(detection, 4, 'rgb(0 0 0 / 0.45)');
    outline(detection, 2, classColour(detection.classIndex));
  }
  // Labels come after all boxes, so that no neighbour's line crosses a name; the best is placed first and drawn last.
  context.font = '600 11px system-ui, sans-serif';
  const tabs = shown.toReversed().map(({ x1, y1, x2, y2, score, classIndex }) => {
    const text = `${classes[classIndex]} ${score.toFixed(2)}`;
    return {
      ...{ text, fill: classColour(classIndex) },
      ...{ x1: x1 * scale - 1, y1: y1 * scale, x2: (x2 + 1) * scale + 1, y2: (y2 + 1) * scale },
      ...{ width: context.measureText(text).width + 8, height: TAB_HEIGHT },
    };
  });
  const places = placeLabels(tabs, { width, height: picture.height * scale });
  for (let i = tabs.length - 1; i >= 0; i--) label(context, tabs[i]!, places[i]!);
}

interface DrawnBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

const TAB_HEIGHT = 16;

/** Draws text on a tab. */
function label(
  context: CanvasRenderingContext2D,
  { text, fill, width, height }: { text: string; fill: string; width: number; height: number },
  { x, y }: { x: number; y: number },
): void {
  context.fillStyle = fill;
  context.beginPath();
  context.roundRect(x, y, width, height, 3);
  context.fill();
  context.fillStyle = isLight(context) ? '#000' : '#fff';
  context.textBaseline = 'middle';
  context.fillText(text, x + 4, y + height / 2 + 0.5);
}

/** Whether black can be read on the context's fill colour, which the context has resolved to #rrggbb. */
function isLight({ fillStyle }: CanvasRenderingContext2D): boolean {
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(String(fillStyle).slice(i, i + 2), 16)) as [
    number,
    number,
    number,
  ];
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140;
}
