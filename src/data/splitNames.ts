/** The names that tools give to the splits of a data set: `train`, `val` and `test`, or longer forms of them. */

/** The one split of data that is not divided. */
export const WHOLE = 'all';

const TRAIN = /^train(ing)?(20\d\d)?$/i;
const VAL = /^val(id|idation)?(20\d\d)?$/i;
const TEST = /^test(ing)?(20\d\d)?$/i;

/** Whether a folder or file of this name is a split. */
export const isSplitName = (name: string): boolean => [TRAIN, VAL, TEST].some((meaning) => meaning.test(name));

/** What a usual name may stand for, the best match first. Many data sets (Ultralytics') have no test split: val serves as one. */
const MEANINGS: Readonly<Record<string, readonly RegExp[]>> = { train: [TRAIN], val: [VAL], test: [TEST, VAL] };

/** The split that a usual name stands for, or the whole of data that is not divided; the name itself if neither exists. */
export function namedSplit(splits: readonly string[], wanted: string): string {
  if (splits.includes(wanted)) return wanted;
  for (const meaning of MEANINGS[wanted] ?? []) {
    const [alike, ...others] = splits.filter((split) => meaning.test(split));
    if (alike !== undefined && others.length === 0) return alike;
  }
  return splits.length === 1 && splits[0] === WHOLE ? WHOLE : wanted;
}

/** Whether a split is held out from training and validation, judged by its name. The whole of a file counts as held out, since the user chose it. */
export const isTestSplit = (split: string): boolean => split === WHOLE || TEST.test(split);

/**
 * The splits that share no image and together hold all data: the whole of data that is not divided; or those with usual names
 * (`trainval` in place of the two that it joins); otherwise all splits.
 */
export function disjointSplits(splits: readonly string[]): readonly string[] {
  if (splits.includes(WHOLE)) return [WHOLE];
  const training = splits.includes('trainval') ? [/^trainval$/] : [TRAIN, VAL];
  const usual = [...training, TEST].flatMap((name) => splits.filter((split) => name.test(split)));
  return usual.length > 0 ? usual : splits;
}
