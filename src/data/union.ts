/** Several data sets as one, such as VOC 2007 and 2012. */
import type { Dataset } from './types.ts';

/**
 * The samples of all data sets, one set after the other. `classes` are those of the model, with which the data sets were opened;
 * without it, the classes are the union of those found in each, with new numbers.
 */
export function unite(sets: readonly Dataset[], classes?: readonly string[]): Dataset {
  const [first] = sets;
  if (sets.length === 1) return first!;
  const [background] = first!.classes;
  const found = new Set(sets.flatMap((set) => set.classes.slice(1)));
  const all = [background!, ...(classes ?? [...found].sort())];
  const index = new Map(all.map((name, i) => [name, i]));
  for (const { samples, classes } of sets) {
    for (const box of samples.flatMap((sample) => sample.boxes)) box.classIndex = index.get(classes[box.classIndex]!)!;
  }
  return {
    name: sets.map(({ name }) => name).join('+'),
    classes: all,
    samples: sets.flatMap(({ samples }) => samples),
    flippable: sets.every(({ flippable }) => flippable),
    doubts: sets.flatMap(({ doubts = [] }) => doubts),
    notes: sets.flatMap(({ name, notes }) => notes.map((note) => `${name}: ${note}`)),
  };
}
