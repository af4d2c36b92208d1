/** The digit scenes as a format of data. They are generated, so there are no paths. */
import { DIGIT_SPLITS, openDigits } from '../digits.ts';
import type { DataFormat } from '../format.ts';
import { readGlyphs } from '../mnistFiles.ts';

export const digits: DataFormat = {
  name: 'digits',
  usage: 'digits',
  summary: 'generated scenes of handwritten digits, no path needed',
  sets: (paths) => (paths.length === 0 ? [[]] : undefined),
  splits: () => DIGIT_SPLITS,
  usualSplit: (_, wanted) => wanted,
  recognises: () => null,
  open: async (_, options) => openDigits(options, readGlyphs),
};
