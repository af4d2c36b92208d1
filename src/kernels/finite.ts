/**
 * Marks a buffer that holds a number that is not finite: flag[0] becomes 1 if any exponent is all ones, else stays as it is.
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

export const flagNonFiniteReference = (x: Float64Array): number => (x.every(Number.isFinite) ? 0 : 1);
