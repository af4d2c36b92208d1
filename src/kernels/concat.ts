/**
 * Concatenation along an axis, one part at a time: copies a part [outer, length, inner] into, or out of, the slice that
 * starts at `offset` of a whole [outer, axis, inner]. Into is the forward pass (part x, whole y), out of the backward pass
 * (whole dy, part dx). Words are copied as u32: an integer seen as f32 is a subnormal number, which a GPU may turn into 0.
 */
import { elementwise, elementwise4 } from './elementwise.ts';
import { type Kernel, kernel, memoize } from './kernel.ts';

/**
 * How a slice lies in the whole: as `rows`, runs of words a fixed distance apart; as one `run` (channels of one image), which
 * needs no division to find a place (that would cost more than the copy); or as one run of `vectors` of four words.
 */
export type SliceForm = 'rows' | 'run' | 'vectors';

/** The form of a slice and its uniforms: runs of `run` words, `pitch` apart in the whole, from `start` on. */
export function sliceLayout(outer: number, axis: number, inner: number, offset: number, length: number) {
  const uniforms = { n: outer * length * inner, run: length * inner, pitch: axis * inner, start: offset * inner };
  const vectors = uniforms.n % 4 === 0 && uniforms.start % 4 === 0;
  const form: SliceForm = outer > 1 ? 'rows' : vectors ? 'vectors' : 'run';
  return { form, uniforms };
}

const uniforms = { run: 'u32', pitch: 'u32', start: 'u32' } as const;
const PLACE: Readonly<Record<SliceForm, string>> = {
  rows: 'i / u.run * u.pitch + u.start + i % u.run',
  run: 'u.start + i',
  vectors: 'u.start / 4u + i',
};
const shorthand = (form: SliceForm) => (form === 'vectors' ? elementwise4 : elementwise);
const words = (form: SliceForm) => (form === 'vectors' ? 'vec4u' : 'u32');

export const copyIntoSlice = memoize((form: SliceForm) =>
  shorthand(form)({
    name: `copy_into_slice_${form}`,
    buffers: { part: `read ${words(form)}`, whole: `write ${words(form)}` },
    uniforms,
    body: `whole[${PLACE[form]}] = part[i];`,
  }),
);

export const copyFromSlice = memoize((form: SliceForm) =>
  shorthand(form)({
    name: `copy_from_slice_${form}`,
    buffers: { whole: `read ${words(form)}`, part: `write ${words(form)}` },
    uniforms,
    body: `part[i] = whole[${PLACE[form]}];`,
  }),
);

/** whole[start + k] = xk[0] for `count` numbers x0, x1, ... */
export const copyScalars = memoize((count: number): Kernel => {
  const scalars = Array.from({ length: count }, (_, k) => `x${k}`);
  return kernel<string, 'start'>({
    name: `copy_scalars_${count}`,
    buffers: { ...Object.fromEntries(scalars.map((x) => [x, 'read u32' as const])), whole: 'read_write u32' },
    uniforms: { start: 'u32' },
    grid: () => [1, 1, 1],
    lanes: 1,
    body: scalars.map((x, k) => `whole[u.start + ${k}u] = ${x}[0];`).join('\n  '),
  });
});

/** The concatenation of parts [outer, lengths[p], inner] along the middle axis. */
export function concatReference(
  parts: readonly Float64Array[],
  outer: number,
  lengths: readonly number[],
  inner: number,
): Float64Array {
  const row = lengths.reduce((sum, length) => sum + length * inner, 0);
  const whole = new Float64Array(outer * row);
  let at = 0;
  for (let o = 0; o < outer; o++)
    parts.forEach((part, p) => {
      const run = lengths[p]! * inner;
      whole.set(part.subarray(o * run, (o + 1) * run), at);
      at += run;
    });
  return whole;
}
