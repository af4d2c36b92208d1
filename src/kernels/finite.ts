/**
 * The tests of NaN check mode. For numbers that are not finite: flag[0] becomes 1 if any exponent in the buffer is all ones,
 * and otherwise stays as it is.
 *
 * A shader may be compiled as if NaN and infinity did not exist, so comparisons cannot find them: the buffer is bound as
 * words and the bits are tested. `flag` is set to 0 by the caller; several buffers may share one.
 */
import { elementwise } from './elementwise.ts';

export const flagNonFinite = elementwise({
  name: 'flag_non_finite',
  buffers: { x: 'read u32', flag: 'read_write atomic<u32>' },
  body: 'if ((x[i] & 0x7f800000u) == 0x7f800000u) { atomicOr(&flag[0], 1u); }',
});

/** flag[0] becomes 1 if a label is neither `ignoreLabel` nor one of `channels` classes. */
export const flagLabels = elementwise({
  name: 'flag_labels',
  buffers: { labels: 'read i32', flag: 'read_write atomic<u32>' },
  uniforms: { channels: 'i32', ignoreLabel: 'i32' },
  body: 'if (labels[i] != u.ignoreLabel && (labels[i] < 0 || labels[i] >= u.channels)) { atomicOr(&flag[0], 1u); }',
});

export const flagNonFiniteReference = (x: Float64Array): number => (x.every(Number.isFinite) ? 0 : 1);

export const flagLabelsReference = (labels: Int32Array, channels: number, ignoreLabel: number): number =>
  labels.every((label) => label === ignoreLabel || (label >= 0 && label < channels)) ? 0 : 1;
