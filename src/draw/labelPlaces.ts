/** Where the labels of boxes go so that they can all be read: beside one another, near their boxes, within the image. */

/** A box and the size of its label, in pixels of the canvas. */
export interface Labelled {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  width: number;
  height: number;
}

export interface Place {
  x: number;
  y: number;
}

interface Rectangle extends Place {
  width: number;
  height: number;
}

/**
 * The upper left corner of each label. Labels are placed in the order given, the most important first: each at the first of its
 * box's places that is free, above it if possible, or else where it covers the least of the others.
 */
export function placeLabels(labelled: readonly Labelled[], canvas: { width: number; height: number }): Place[] {
  const taken: Rectangle[] = [];
  return labelled.map((one) => {
    const { width, height } = one;
    let best: Rectangle | undefined;
    let least = Infinity;
    for (const place of candidates(one)) {
      const x = clamp(place.x, canvas.width - width);
      const y = clamp(place.y, canvas.height - height);
      const rectangle = { x, y, width, height };
      const covered = taken.reduce((sum, other) => sum + sharedArea(rectangle, other), 0);
      if (covered >= least) continue;
      [best, least] = [rectangle, covered];
      if (covered === 0) break;
    }
    taken.push(best!);
    return { x: best!.x, y: best!.y };
  });
}

/** Above the box from left to right, below it, inside it along its edges, then beside it. */
function* candidates({ x1, y1, x2, y2, width, height }: Labelled): Generator<Place> {
  const alongTop = [x1, x2 - width, (x1 + x2 - width) / 2];
  for (const y of [y1 - height, y2]) for (const x of alongTop) yield { x, y };
  for (const y of [y1, y2 - height]) for (const x of alongTop) yield { x, y };
  const alongSide = [y1, y2 - height, (y1 + y2 - height) / 2];
  for (const x of [x2, x1 - width]) for (const y of alongSide) yield { x, y };
}

const clamp = (value: number, most: number): number => Math.max(0, Math.min(value, most));

function sharedArea(a: Rectangle, b: Rectangle): number {
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, across) * Math.max(0, down);
}
