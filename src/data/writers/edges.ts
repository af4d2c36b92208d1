/** Helpers of the writers of formats: corners as edges, numbers as texts, names of splits, and lines about what is lost. */
import { UserError } from '../../engine/errors.ts';
import type { WrittenSplit } from '../format.ts';
import type { AnnotatedBox } from '../types.ts';

/** x1, y1, x2, y2 as edges: 0, 0, 1, 1 for a box of the single top-left pixel. */
export const edgesOf = ({ x1, y1, x2, y2 }: AnnotatedBox): [number, number, number, number] => [x1, y1, x2 + 1, y2 + 1];

/** The number as text, without an exponent or trailing zeros. */
export const decimal = (value: number, digits: number): string => {
  const text = value.toFixed(digits).replace(/\.?0+$/, '');
  return text === '-0' ? '0' : text;
};

/** How many decimals of a pixel are written. */
export const PIXEL_DECIMALS = 6;

/** Counts what is lost, and reports it in lines. */
export class LostItems {
  readonly #counts = new Map<string, number>();

  /** `what` follows the number of objects: 'difficult objects are left out'. */
  add(what: string, count = 1): void {
    if (count > 0) this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  get lines(): string[] {
    return [...this.#counts].map(([what, count]) => `${what} (${count})`);
  }
}

/** Whether an object can be written in a format that cannot mark difficult objects or regions of many objects. */
export function isPlain({ difficult, crowd }: AnnotatedBox, format: string, lost: LostItems): boolean {
  if (crowd) lost.add(`${format} has no regions of many objects: they are left out`);
  else if (difficult) lost.add(`${format} has no difficult objects: they are left out`);
  return !crowd && !difficult;
}

/** Whether writing it with `PIXEL_DECIMALS` changes a box by more than the noise of floating point. */
export function countRounding(box: AnnotatedBox, lost: LostItems): void {
  const rounded = edgesOf(box).some((edge) => Math.abs(edge - Number(edge.toFixed(PIXEL_DECIMALS))) > 1e-9);
  if (rounded) lost.add(`corners are rounded to ${PIXEL_DECIMALS} decimals of a pixel`);
}

/** The splits under the names train, val and test, for formats that know only these. */
export function usualNames(splits: readonly WrittenSplit[], format: string): Map<WrittenSplit, string | undefined> {
  const usual = (split: string): string | undefined =>
    [/^train/i, /^val/i, /^test/i]
      .map((pattern, i) => (pattern.test(split) ? ['train', 'val', 'test'][i] : undefined))
      .find(Boolean);
  const named = new Map(splits.map((split) => [split, split.split === undefined ? undefined : usual(split.split)]));
  const names = [...named.values()];
  const wrong = splits.find(
    (split) => split.split !== undefined && names.filter((name) => name === named.get(split)).length > 1,
  );
  const unknown = splits.find((split) => split.split !== undefined && named.get(split) === undefined);
  if (!wrong && !unknown) return named;
  throw new UserError(
    `--split ${(unknown ?? wrong)!.split}: ${format} has one split each for train, val and test; choose them with --split`,
  );
}
