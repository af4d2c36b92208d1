/**
 * EdgeBoxes (Zitnick and Dollar 2014): proposals without learning, by how many outlines a box contains whole. Windows of all
 * positions, sizes and shapes are scored, the good ones moved uphill, and near copies suppressed.
 */
import { BoxScorer } from './boxScorer.ts';
import { groupEdges } from './edgeGroups.ts';
import type { EdgeMap } from './edgeMap.ts';
import type { ScoredBoxes } from '../kernels/boxes.ts';

/** IoU of neighbouring windows. */
const ALPHA = 0.65;
/** IoU above which the lower of two boxes is suppressed: ALPHA + 0.1. */
const BETA = 0.75;
const MAX_ASPECT_RATIO = 3;
/** In pixels. */
const MIN_AREA = 1000;
const MAX_BOXES = 10_000;

/** A window 1/SCALE_STEP times as large, 1/ASPECT_STEP times as wide and high, or moved by STEP_RATIO of its side has IoU ALPHA. */
const SCALE_STEP = Math.sqrt(1 / ALPHA);
const ASPECT_STEP = (1 + ALPHA) / (2 * ALPHA);
const STEP_RATIO = (1 - ALPHA) / (1 + ALPHA);
/** Refinement ends at steps of so many pixels. */
const LAST_STEP = 2;

/** At most 10,000 boxes by descending score; none where there is no edge. */
export function edgeBoxes(map: EdgeMap): ScoredBoxes {
  const scorer = new BoxScorer(map, groupEdges(map));
  const found: ScoredBox[] = [];
  eachWindow(map.width, map.height, (x1, y1, x2, y2) => {
    const score = scorer.score(x1, y1, x2, y2);
    if (score > 0) found.push(refined({ x1, y1, x2, y2, score }, scorer));
  });
  found.sort((a, b) => b.score - a.score);
  const kept = suppressed(found);
  return {
    boxes: Float32Array.from(kept.flatMap(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2])),
    scores: Float32Array.from(kept, ({ score }) => score),
  };
}

/** Corners inclusive. */
export interface ScoredBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  score: number;
}

/** Windows from MIN_AREA to the image, clipped to it. */
export function eachWindow(
  width: number,
  height: number,
  use: (x1: number, y1: number, x2: number, y2: number) => void,
): void {
  const smallest = Math.sqrt(MIN_AREA);
  const shapes = Math.floor(Math.log(MAX_ASPECT_RATIO) / Math.log(ASPECT_STEP ** 2));
  const scales = Math.ceil(Math.log(Math.max(width, height) / smallest) / Math.log(SCALE_STEP));
  for (let scale = 0; scale < scales; scale++) {
    for (let shape = -shapes; shape <= shapes; shape++) {
      const side = smallest * SCALE_STEP ** scale;
      const windowWidth = Math.floor(side * ASPECT_STEP ** shape);
      const windowHeight = Math.floor(side / ASPECT_STEP ** shape);
      const stepX = Math.max(2, Math.floor(windowWidth * STEP_RATIO));
      const stepY = Math.max(2, Math.floor(windowHeight * STEP_RATIO));
      for (let x = 0; x < width - windowWidth + stepX; x += stepX) {
        for (let y = 0; y < height - windowHeight + stepY; y += stepY) {
          const [x1, y1] = [Math.min(x, width - 1), Math.min(y, height - 1)];
          use(x1, y1, Math.min(x + windowWidth, width) - 1, Math.min(y + windowHeight, height) - 1);
        }
      }
    }
  }
}

/** Moves one side at a time where that raises the score, by steps that are halved until they are as short as LAST_STEP. */
export function refined(box: ScoredBox, scorer: Pick<BoxScorer, 'score' | 'width' | 'height'>): ScoredBox {
  let best = box;
  const attempt = (x1: number, y1: number, x2: number, y2: number): boolean => {
    x1 = Math.max(0, x1);
    y1 = Math.max(0, y1);
    x2 = Math.min(scorer.width - 1, x2);
    y2 = Math.min(scorer.height - 1, y2);
    if (x2 <= x1 || y2 <= y1) return false;
    const score = scorer.score(x1, y1, x2, y2);
    if (score <= best.score) return false;
    best = { x1, y1, x2, y2, score };
    return true;
  };
  let stepX = Math.floor((box.x2 - box.x1 + 1) * STEP_RATIO);
  let stepY = Math.floor((box.y2 - box.y1 + 1) * STEP_RATIO);
  for (;;) {
    stepX = Math.floor(stepX / 2);
    stepY = Math.floor(stepY / 2);
    if (stepX <= LAST_STEP && stepY <= LAST_STEP) return best;
    const [dx, dy] = [Math.max(1, stepX), Math.max(1, stepY)];
    for (const sign of [-1, 1]) if (attempt(best.x1, best.y1 + sign * dy, best.x2, best.y2)) break;
    for (const sign of [1, -1]) if (attempt(best.x1, best.y1, best.x2, best.y2 + sign * dy)) break;
    for (const sign of [-1, 1]) if (attempt(best.x1 + sign * dx, best.y1, best.x2, best.y2)) break;
    for (const sign of [1, -1]) if (attempt(best.x1, best.y1, best.x2 + sign * dx, best.y2)) break;
  }
}

/** Non-maximum suppression of boxes in descending order of score, down to MAX_BOXES. */
export function suppressed(boxes: readonly ScoredBox[]): ScoredBox[] {
  const kept: ScoredBox[] = [];
  const near = new NearBoxes();
  for (const box of boxes) {
    if (near.overlap(box)) continue;
    near.add(box);
    kept.push(box);
    if (kept.length === MAX_BOXES) break;
  }
  return kept;
}

/**
 * Kept boxes by area and place. Boxes with IoU above BETA have areas in the same or in adjacent classes, whose areas grow by
 * 1 / BETA. Their centres lie less than a seventh of a side apart: for shapes up to 49 to 1, in the same or in adjacent cells as wide
 * as a square of the class.
 */
class NearBoxes {
  readonly #cells = new Map<number, Corners>();

  add(box: ScoredBox): void {
    const areaClass = areaClassOf(box);
    const key = cellKey(areaClass, ...cellOf(box, areaClass));
    let cell = this.#cells.get(key);
    if (!cell) this.#cells.set(key, (cell = new Corners()));
    cell.add(box);
  }

  overlap(box: ScoredBox): boolean {
    const own = areaClassOf(box);
    for (let areaClass = own - 1; areaClass <= own + 1; areaClass++) {
      const [column, row] = cellOf(box, areaClass);
      for (let i = column - 1; i <= column + 1; i++) {
        for (let j = row - 1; j <= row + 1; j++) {
          if (this.#cells.get(cellKey(areaClass, i, j))?.overlap(box)) return true;
        }
      }
    }
    return false;
  }
}

const areaClassOf = (box: ScoredBox): number => Math.ceil(Math.log(areaOf(box)) / Math.log(1 / BETA));

/** The cell of the box's centre in the grid of a class of areas. */
function cellOf({ x1, y1, x2, y2 }: ScoredBox, areaClass: number): [column: number, row: number] {
  const side = Math.sqrt((1 / BETA) ** areaClass);
  return [Math.floor((x1 + x2) / 2 / side), Math.floor((y1 + y2) / 2 / side)];
}

const cellKey = (areaClass: number, column: number, row: number): number =>
  (areaClass * 2 ** 16 + column) * 2 ** 16 + row;

const areaOf = ({ x1, y1, x2, y2 }: ScoredBox): number => (x2 - x1 + 1) * (y2 - y1 + 1);

/** Boxes side by side in memory, since each new one is compared with many. */
class Corners {
  #corners = new Float64Array(4 * 64);
  #used = 0;

  add({ x1, y1, x2, y2 }: ScoredBox): void {
    if (this.#used === this.#corners.length) {
      const larger = new Float64Array(2 * this.#used);
      larger.set(this.#corners);
      this.#corners = larger;
    }
    this.#corners.set([x1, y1, x2, y2], this.#used);
    this.#used += 4;
  }

  /** Whether one of them has an IoU above BETA with `box`. */
  overlap(box: ScoredBox): boolean {
    const corners = this.#corners;
    const { x1, y1, x2, y2 } = box;
    const area = areaOf(box);
    for (let i = 0; i < this.#used; i += 4) {
      const width = Math.min(x2, corners[i + 2]) - Math.max(x1, corners[i]) + 1;
      if (width <= 0) continue;
      const height = Math.min(y2, corners[i + 3]) - Math.max(y1, corners[i + 1]) + 1;
      if (height <= 0) continue;
      const both = width * height;
      const other = (corners[i + 2] - corners[i] + 1) * (corners[i + 3] - corners[i + 1] + 1);
      if (both > BETA * (area + other - both)) return true;
    }
    return false;
  }
}
