/**
 * Half precision: a variant of a kernel in which some buffers hold f16 instead of f32.
 *
 * Every load is converted to f32 and every store back, so all arithmetic and all sums stay in float32 and the kernel's text is
 * written once. The error of a variant is therefore that of the kernel on the rounded inputs, plus one rounding for each
 * stored result: `HALF_ROUNDING` relative to its size, infinity above 65504, perhaps 0 below 2^-14 (WGSL lets a device flush
 * subnormal numbers). A sum that is accumulated in a buffer (`+=`) is rounded at each addition.
 */
import type { BufferSpec, Kernel } from './kernel.ts';
import { roundHalfEven } from './rounding.ts';

/** A correctly rounded conversion may give either neighbour in WGSL: a relative error of 2^-10; to the nearest it is 2^-11. */
export const HALF_ROUNDING = 2 ** -10;
/** The smallest normal number of half precision, below which results may be 0. */
export const HALF_TINY = 2 ** -14;

/** For each element type of a buffer, its half-precision form and the type that loads are converted to, if any. */
const FORMS: Readonly<Record<string, { stored: string; loaded: string | null }>> = {
  f32: { stored: 'f16', loaded: 'f32' },
  vec4f: { stored: 'vec4<f16>', loaded: 'vec4f' },
  // For kernels that only move words.
  u32: { stored: 'f16', loaded: null },
  vec4u: { stored: 'vec4<f16>', loaded: null },
};

const elementOf = (spec: BufferSpec): string => spec.split(' ')[1] ?? 'f32';

const variants = new WeakMap<Kernel, Map<string, Kernel>>();

/** The variant of a kernel whose buffers `names` hold f16. Throws if one of them holds integers. */
export function halfVariant(kernel: Kernel, names: readonly string[]): Kernel {
  let known = variants.get(kernel);
  if (!known) variants.set(kernel, (known = new Map<string, Kernel>()));
  const key = names.join(' ');
  let variant = known.get(key);
  if (!variant) known.set(key, (variant = { ...kernel, name: `${kernel.name} f16`, code: halfText(kernel, names) }));
  return variant;
}

function halfText({ name: kernelName, buffers, code }: Kernel, names: readonly string[]): string {
  const forms = new Map(
    names.map((name) => {
      const form = FORMS[elementOf(buffers[name]!)];
      if (!form) throw new Error(`${kernelName}: its buffer ${name} holds ${elementOf(buffers[name]!)}, f16 was given`);
      return [name, form];
    }),
  );
  let declared = code;
  for (const [name, { stored }] of forms) {
    declared = declared.replace(new RegExp(`(> ${name}: array<)\\w+(>;)`), `$1${stored}$2`);
  }
  const converted = new Map([...forms].filter(([, { loaded }]) => loaded !== null)) as ReadonlyMap<string, Converted>;
  return `enable f16;\n${convertAccesses(declared, converted)}`;
}

type Converted = { stored: string; loaded: string };

/** The text with every `name[...]` converted to float32 where it is read, and back where it is assigned. */
function convertAccesses(text: string, forms: ReadonlyMap<string, Converted>): string {
  if (forms.size === 0) return text;
  const access = new RegExp(`(?<![\\w.])(${[...forms.keys()].join('|')})\\[`, 'g');
  let result = '';
  let from = 0;
  for (let match = access.exec(text); match; match = access.exec(text)) {
    const { stored, loaded } = forms.get(match[1]!)!;
    const open = match.index + match[0].length - 1;
    const close = closing(text, open);
    const element = `${match[1]}[${convertAccesses(text.slice(open + 1, close), forms)}]`;
    // An index may follow that picks a component of a vector.
    const end = text[close + 1] === '[' ? closing(text, close + 1) : close;
    const part = convertAccesses(text.slice(close + 1, end + 1), forms);
    const assigned = /^\s*(\+?=)(?!=)/.exec(text.slice(end + 1));
    result += text.slice(from, match.index);
    if (!assigned) {
      result += `${loaded}(${element})${part}`;
      from = end + 1;
    } else {
      const start = end + 1 + assigned[0].length;
      from = text.indexOf(';', start);
      const value = convertAccesses(text.slice(start, from).trim(), forms);
      const place = element + part;
      const [to, back] = part === '' ? [stored, loaded] : ['f16', 'f32'];
      result += `${place} = ${to}(${assigned[1] === '=' ? value : `${back}(${place}) + (${value})`})`;
    }
    access.lastIndex = from;
  }
  return result + text.slice(from);
}

/** The index of the bracket that closes the one at `open`. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '[') depth++;
    if (text[i] === ']' && --depth === 0) return i;
  }
  throw new Error('a bracket is not closed');
}

/** The bits of a number in half precision, rounded to the nearest, half to even. */
export function toHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  // Measured in the spacing of numbers in this power of two; that of subnormal numbers is 2^-24.
  let exponent = -14;
  while (size >= 2 ** (exponent + 1)) exponent++;
  const steps = roundHalfEven(size / 2 ** (exponent - 10));
  return sign | (steps + (exponent + 14) * 1024);
}

/** The number that has these bits in half precision. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
