/** Draws an image on a canvas with what was found in it: boxes with class and score, or the proposals they came from. */
import { classColour, placeLabels, scoreColour, type StagedDetection } from '../src/index.ts';
import type { Drawable } from './pictures.ts';

export type Layer = 'proposals' | 'detections';
export const LAYERS: Readonly<Record<Layer, string>> = { proposals: '1 Proposals', detections: '2 Detections' };

export interface View {
  /** What the picture is, for those who cannot see it: 'Test scene 3'. */
  name: string;
  picture: Drawable;
  found?: StagedDetection;
  classes: readonly string[];
  layer: Layer;
  /** Detections with a lower score are not drawn. */
  threshold: number;
}

/** How many of the best proposals are drawn. */
const SHOWN_PROPOSALS = 20;

/** Draws at the width of the canvas in the page and the pixel density of the screen. */
export function draw(canvas: HTMLCanvasElement, view: View): void {
  const { picture, found, classes, layer, threshold } = view;
  canvas.role = 'img';
  canvas.ariaLabel = described(view);
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
  const tabs = shown.toReversed().map(({ x1, y1, x2, y2, score, classIndex }) => {
    const text = `${classes[classIndex]} ${score.toFixed(2)}`;
    const edges = { x1: x1 * scale - 1, y1: y1 * scale, x2: (x2 + 1) * scale + 1, y2: (y2 + 1) * scale };
    return { text, fill: classColour(classIndex), ...edges };
  });
  drawTabs(context, tabs, { width, height: picture.height * scale });
}

/** The view in words. */
function described({ name, found, classes, layer, threshold }: View): string {
  if (!found) return name;
  if (layer === 'proposals') return `${name}, with the ${SHOWN_PROPOSALS} best proposals`;
  const sure = found.detections.filter(({ score }) => score >= threshold);
  const list = sure.map(({ classIndex, score }) => `${classes[classIndex]} (${score.toFixed(2)})`);
  return `${name}; found: ${list.join(', ') || 'nothing'}`;
}

interface DrawnBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

const TAB_HEIGHT = 16;
const TAB_FONT = '600 11px system-ui, sans-serif';

/** A box on the canvas, and the name on its tab. */
export interface Tab extends DrawnBox {
  text: string;
  fill: string;
}

/** Draws names on tabs beside their boxes, where none hides another if there is room; the first is placed first and lies on top. */
export function drawTabs(
  context: CanvasRenderingContext2D,
  named: readonly Tab[],
  size: { width: number; height: number },
): void {
  context.font = TAB_FONT;
  const tabs = named.map((tab) => ({ ...tab, width: context.measureText(tab.text).width + 8, height: TAB_HEIGHT }));
  const places = placeLabels(tabs, size);
  for (let i = tabs.length - 1; i >= 0; i--) drawTab(context, tabs[i]!, places[i]!);
}

/** Draws text on a tab. */
function drawTab(
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
