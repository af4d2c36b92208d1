/** Special values of copies, gathering and transposition, which keep bits. */
import { copyFromSlice, copyIntoSlice, copyScalars } from '../../concat.ts';
import { embedding, embeddingBackward, embeddingKeys, gather, gatherBackward } from '../../gather.ts';
import { copyUniforms, permuteView, stridedCopy } from '../../stridedCopy.ts';
import { transpose } from '../../transpose.ts';
import type { KernelCheck } from '../check.ts';
import { FOUR, I, i32, row, u32 } from './row.ts';

export const layoutSpecialValues: readonly (() => KernelCheck)[] = [
  () =>
    row(
      'copy into a slice',
      copyIntoSlice('run'),
      { part: u32(0x7fc00001, 0xff800000, 1) },
      { n: 3, run: 3, pitch: 3, start: 0 },
      {
        whole: u32(0x7fc00001, 0xff800000, 1),
      },
    ),
  () =>
    row(
      'copy from a slice',
      copyFromSlice('run'),
      { whole: u32(0x7fc00001, 0xff800000, 1) },
      { n: 3, run: 3, pitch: 3, start: 0 },
      {
        part: u32(0x7fc00001, 0xff800000, 1),
      },
    ),
  () => row('copy numbers', copyScalars(1), { x0: u32(0x7fc00001) }, { start: 0 }, { whole: u32(0x7fc00001) }),
  () =>
    row(
      'permute',
      stridedCopy(2),
      { x: u32(0x7fc00001, 0xff800000, 1, 2) },
      copyUniforms(permuteView([2, 2], [1, 0])),
      {
        y: u32(0x7fc00001, 1, 0xff800000, 2),
      },
    ),
  () =>
    row(
      'gather',
      gather,
      { x: [NaN, I, 1, 2], index: i32(1, 0, 4, -1) },
      { ...FOUR, picks: 4 },
      { y: [I, NaN, NaN, NaN] },
    ),
  () =>
    row(
      'gradient of gather',
      gatherBackward,
      { dy: [NaN, I, 1, 2], index: i32(1, 0, 4, -1) },
      { ...FOUR, picks: 4 },
      { dx: [I, NaN, 0, 0] },
    ),
  () =>
    row(
      'embedding',
      embedding,
      { table: [NaN, I], index: i32(1, 0, 2) },
      { n: 3, rows: 2, columns: 1 },
      { y: [I, NaN, NaN] },
    ),
  () =>
    row(
      'keys of an embedding',
      embeddingKeys,
      { index: i32(1, -1) },
      { n: 2 },
      { keys: u32(1, 0xffffffff), order: u32(0, 1) },
    ),
  () =>
    row(
      'gradient of an embedding',
      embeddingBackward,
      { dy: [NaN, I, 1], keys: u32(0, 2, 0xffffffff), order: u32(1, 0, 2) },
      { n: 3, rows: 3, columns: 1 },
      { dtable: [I, 0, NaN] },
    ),
  () => row('transpose', transpose, { b: [NaN, I, -I, 0] }, { rows: 4, columns: 1 }, { c: [NaN, I, -I, 0] }),
];
