/** The smallest upright boxes around outlines, for annotations that have an outline but no box. */

export type Point = readonly [x: number, y: number];

/** The bounds x1, y1, x2, y2 of points. */
export function boundsOf(points: readonly Point[]): [number, number, number, number] {
  let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x), Math.max(y2, y)];
  }
  return [x1, y1, x2, y2];
}

/**
 * The bounds x1, y1, x2, y2 (edges) of a mask in COCO's run lengths: column by column, the lengths of alternating runs outside and
 * inside, as numbers or packed into a text (cocoapi, maskApi.c rleFrString). Undefined if nothing is inside.
 */
export function boundsOfRuns(
  counts: string | readonly number[],
  height: number,
): [number, number, number, number] | undefined {
  const runs = typeof counts === 'string' ? unpackRuns(counts) : counts;
  let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  let at = 0;
  runs.forEach((run, i) => {
    const end = at + run;
    if (i % 2 === 1 && run > 0) {
      const [first, last] = [Math.floor(at / height), Math.floor((end - 1) / height)];
      const within = first === last; // otherwise the run continues past the lower border
      [x1, x2] = [Math.min(x1, first), Math.max(x2, last + 1)];
      [y1, y2] = within ? [Math.min(y1, at % height), Math.max(y2, ((end - 1) % height) + 1)] : [0, height];
    }
    at = end;
  });
  return x2 > x1 ? [x1, y1, x2, y2] : undefined;
}

/** Five bits per character, lowest first; from the fourth run on, the difference from the run two places before. */
function unpackRuns(text: string): number[] {
  const runs: number[] = [];
  for (let p = 0; p < text.length;) {
    let [value, bits, more] = [0, 0, true];
    while (more && p < text.length) {
      const code = text.charCodeAt(p++) - 48;
      value |= (code & 31) << bits;
      more = (code & 32) !== 0;
      bits += 5;
      if (!more && code & 16) value |= -1 << bits;
    }
    runs.push(runs.length > 2 ? value + runs.at(-2)! : value);
  }
  return runs;
}

/** Points turned clockwise about a centre, as seen in the image. */
export function turned(points: readonly Point[], degrees: number, [cx, cy]: Point): Point[] {
  if (degrees === 0) return [...points];
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return points.map(([x, y]) => [cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos]);
}

/** The corners of an upright box, clockwise. */
export const cornersOf = (x1: number, y1: number, x2: number, y2: number): Point[] => [
  [x1, y1],
  [x2, y1],
  [x2, y2],
  [x1, y2],
];

/** x1, y1, x2, y2 of an ellipse of two radii that is turned clockwise about its centre. */
export function boundsOfEllipse(
  [cx, cy]: Point,
  rx: number,
  ry: number,
  degrees: number,
): [number, number, number, number] {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const [w, h] = [Math.hypot(rx * cos, ry * sin), Math.hypot(rx * sin, ry * cos)];
  return [cx - w, cy - h, cx + w, cy + h];
}
