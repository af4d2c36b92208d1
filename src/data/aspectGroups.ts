/** Images by their shapes, so that those that go through a network together have similar ones and little is padded. */
import type { Sample } from './types.ts';

/** Where groups meet, width over height: 1/2 to 2 in steps of a third of an octave (torchvision's references/detection, group_by_aspect_ratio.py). */
const EDGES = [-3, -2, -1, 0, 1, 2, 3].map((third) => 2 ** (third / 3));

/** The number of an image's group, from the tallest shapes to the widest. */
export const aspectGroup = ({ width, height }: Pick<Sample, 'width' | 'height'>): number =>
  EDGES.filter((edge) => edge <= width / height).length;
