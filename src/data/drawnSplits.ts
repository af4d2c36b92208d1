/**
 * Splits of a data set that has none of its own: 60 % train, 20 % val and 20 % test, drawn by a seed.
 *
 * Images whose names show that they are frames of one video, or copies of one photograph, stay in one split: otherwise the
 * network would be tested on images it has practically seen. With fewer than three videos, each is cut into five stretches
 * of time instead.
 */
import { Random } from '../kernels/rng.ts';

export const DRAWN_SPLITS: readonly string[] = ['train', 'val', 'test'];

/** In the order in which they get their first group, so that two groups give a training and a test split. */
const SHARES: readonly (readonly [split: string, share: number])[] = [
  ['train', 0.6],
  ['test', 0.2],
  ['val', 0.2],
];
/** Keeps the draw apart from other uses of a seed. */
const STREAM = 0x5b117000;

/** Words that mark numbered names as video frames, since photographs (IMG_0001, DSC01234) are numbered too. */
const VIDEO =
  /(^|[^a-z])(videos?|vid|clip|frames?|frm|seq|sequence|mov|mvi|gopr|dji|cam|camera|scene|shot|take)(?![a-z])/i;

/** The key that near-identical images share (one video, one photograph); otherwise the image's own name. */
export function groupOf(id: string): string {
  const original = id.replace(/[._](jpe?g|png|bmp|webp)\.rf\.[0-9a-zA-Z]+$/i, '').replace(/\.rf\.[0-9a-zA-Z]+$/i, '');
  const frame = /^(.*?)[\s_.-]*(?:frames?|frm|f|t)?[\s_.-]*\d+$/i.exec(original);
  return frame && VIDEO.test(original) ? `${frame[1]}#` : original;
}

/** The split of each id; a function of the set of ids and the seed, whatever their order. */
export function drawSplits(ids: readonly string[], seed: number): { splitOf: Map<string, string>; grouped: boolean } {
  const groups = new Map<string, string[]>();
  for (const id of [...ids].sort(naturally)) {
    const group = groupOf(id);
    groups.set(group, [...(groups.get(group) ?? []), id]);
  }
  const grouped = groups.size < new Set(ids).size;
  const members = [...groups.values()];
  const units = members.length < 3 && grouped ? members.flatMap(stretches) : members;
  const order = new Random(seed, STREAM).permutation(units.length).map((i) => units[i]!);
  order.sort((a, b) => b.length - a.length); // the largest videos first, so that none lands in a small split
  const counts = new Map(SHARES.map(([split]) => [split, 0]));
  const splitOf = new Map<string, string>();
  for (const unit of order) {
    const [split] = SHARES.reduce((a, b) => (counts.get(b[0])! / b[1] < counts.get(a[0])! / a[1] ? b : a));
    counts.set(split, counts.get(split)! + unit.length);
    for (const id of unit) splitOf.set(id, split);
  }
  return { splitOf, grouped };
}

/** Five stretches of about equal length. */
const stretches = (frames: readonly string[]): string[][] =>
  Array.from({ length: 5 }, (_, i) =>
    frames.slice(Math.floor((i * frames.length) / 5), Math.floor(((i + 1) * frames.length) / 5)),
  ).filter((stretch) => stretch.length > 0);

const collator = new Intl.Collator('en', { numeric: true });
/** Frame 2 before frame 10; names that compare equal are ordered by their characters. */
const naturally = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : Number(a > b));
