/** The digit scenes as a format of data: they are drawn, so there is nothing to name but them. */
import { DIGIT_SPLITS, openDigits } from '../digits.ts';
import type { DataFormat } from '../format.ts';
import { readGlyphs } from '../mnistFiles.ts';

export const digits: DataFormat = {
  name: 'digits',
  usage: 'digits',
  summary: 'scenes of handwritten digits, drawn as they are needed',
  sets: (paths) => (paths.length === 0 ? [[]] : undefined),
  splits: () => DIGIT_SPLITS,
  usualSplit: (_, wanted) => wanted,
  recognises: () => null,
  open: async (_, options) => openDigits(options, readGlyphs),
};
