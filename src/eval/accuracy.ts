/** Accuracy of a classifier. */

/** How many other classes score at least as high as the right one: 0 if the right one comes first. Ties and NaN count against it. */
export function rankOfLabel(scores: ArrayLike<number>, label: number): number {
  let rank = 0;
  for (let i = 0; i < scores.length; i++) if (i !== label && !(scores[i]! < scores[label]!)) rank++;
  return rank;
}
