/** Boxes and the view of a picture, as arithmetic: what the drawing surface (surface.ts) does with them. */
import type { Edges } from './project.ts';

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** How a picture is shown: a point of it, times `scale`, plus `x` and `y`, is the point of the surface. */
export interface View extends Point {
  scale: number;
}

/** The least side of a box, pixels of the picture: VOC cannot hold a single row or column. */
export const LEAST_SIDE = 2;
/** A picture pixel is never larger than this on the surface. */
const MOST_SCALE = 40;
/** Free space around a picture that is shown whole. */
const MARGIN = 8;

/** The view of the whole picture in the middle of the surface. A small one is enlarged. */
export function fittingView(picture: Size, surface: Size): View {
  const scale = Math.min(
    (surface.width - 2 * MARGIN) / picture.width,
    (surface.height - 2 * MARGIN) / picture.height,
    MOST_SCALE,
  );
  return centred(Math.max(scale, 0.001), picture, surface);
}

const centred = (scale: number, picture: Size, surface: Size): View => ({
  scale,
  x: (surface.width - picture.width * scale) / 2,
  y: (surface.height - picture.height * scale) / 2,
});

/** Zooms so that the point of the picture under `at` stays there. */
export function zoomed(view: View, factor: number, at: Point, picture: Size, surface: Size): View {
  const least = fittingView(picture, surface).scale;
  const scale = Math.min(Math.max(view.scale * factor, Math.min(least, 1)), MOST_SCALE);
  const ratio = scale / view.scale;
  return kept({ scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio }, picture, surface);
}

export const panned = (view: View, dx: number, dy: number, picture: Size, surface: Size): View =>
  kept({ ...view, x: view.x + dx, y: view.y + dy }, picture, surface);

/** A picture smaller than the surface is centred, and a larger one has no space beside it but the margin. */
function kept(view: View, picture: Size, surface: Size): View {
  const along = (start: number, size: number, room: number): number => {
    if (size <= room - 2 * MARGIN) return (room - size) / 2;
    return Math.min(Math.max(start, room - MARGIN - size), MARGIN);
  };
  return {
    scale: view.scale,
    x: along(view.x, picture.width * view.scale, surface.width),
    y: along(view.y, picture.height * view.scale, surface.height),
  };
}

export const toPicture = ({ scale, x, y }: View, point: Point): Point => ({
  x: (point.x - x) / scale,
  y: (point.y - y) / scale,
});

/** A part of a box that can be dragged: a corner or an edge by its direction, or the whole. */
export type Handle = 'nw' | 'n' | 'ne' | 'e' | 'se' | 's' | 'sw' | 'w' | 'move';

/** What a pointer at `point` takes hold of; `reach` is the distance from an edge that still counts. */
export function handleAt({ x1, y1, x2, y2 }: Edges, { x, y }: Point, reach: number): Handle | undefined {
  if (x < x1 - reach || x > x2 + reach || y < y1 - reach || y > y2 + reach) return undefined;
  // In a small box, the middle third remains for moving it.
  const inwards = (side: number): number => Math.min(reach, side / 3);
  const [w, h] = [inwards(x2 - x1), inwards(y2 - y1)];
  const across = x <= x1 + w ? 'w' : x >= x2 - w ? 'e' : '';
  const down = y <= y1 + h ? 'n' : y >= y2 - h ? 's' : '';
  return across === '' && down === '' ? 'move' : (`${down}${across}` as Handle);
}

/** The box after its handle was dragged by so many pixels of the picture. It stays inside the picture and has whole edges. */
export function dragged(box: Edges, handle: Handle, dx: number, dy: number, { width, height }: Size): Edges {
  if (handle === 'move') {
    const x = Math.round(clamp(dx, -box.x1, width - box.x2));
    const y = Math.round(clamp(dy, -box.y1, height - box.y2));
    return { x1: box.x1 + x, y1: box.y1 + y, x2: box.x2 + x, y2: box.y2 + y };
  }
  const [x1, x2] = resized(box.x1, box.x2, handle.includes('w') ? dx : 0, handle.includes('e') ? dx : 0, width);
  const [y1, y2] = resized(box.y1, box.y2, handle.includes('n') ? dy : 0, handle.includes('s') ? dy : 0, height);
  return { x1, y1, x2, y2 };
}

/** Moves the ends of an interval; an end that is dragged past the other becomes the other one. */
function resized(from: number, to: number, first: number, last: number, size: number): [number, number] {
  if (first === 0 && last === 0) return [from, to];
  return interval(from + first, to + last, size);
}

/** The box between two points: whole edges inside the picture, and at least `LEAST_SIDE` apart. */
export function boxBetween(a: Point, b: Point, { width, height }: Size): Edges {
  const [x1, x2] = interval(a.x, b.x, width);
  const [y1, y2] = interval(a.y, b.y, height);
  return { x1, y1, x2, y2 };
}

function interval(a: number, b: number, size: number): [number, number] {
  const [low, high] = [Math.min(a, b), Math.max(a, b)].map((value) => Math.round(clamp(value, 0, size))) as [
    number,
    number,
  ];
  if (high - low >= LEAST_SIDE) return [low, high];
  const start = clamp(low, 0, Math.max(0, size - LEAST_SIDE));
  return [start, Math.min(size, start + LEAST_SIDE)];
}

const clamp = (value: number, least: number, most: number): number => Math.min(Math.max(value, least), most);

export const areaOf = ({ x1, y1, x2, y2 }: Edges): number => (x2 - x1) * (y2 - y1);

/** Intersection over union. */
export function overlap(a: Edges, b: Edges): number {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (areaOf(a) + areaOf(b) - width * height);
}
