/**
 * A table of elementwise functions of two numbers: y = f(a, b), and the gradients of a and b in terms of dy, a and b.
 *
 * Each has one kernel for every way in which the two tensors lie beside the result (`BinaryForm`): both with its shape, four
 * elements a turn; one of them repeated along merged axes (broadcast.ts); or both repeated anyhow, by strides (strides.ts). A
 * backward kernel writes a gradient for every element of the result, dx [n]; what belongs to a repeated element is summed afterwards.
 *
 * Comparisons give 1 or 0 and have no gradient. They, the maximum and the minimum go by the bits, since WGSL lets a compiler
 * assume that NaN does not exist (ieee.ts): NaN is the maximum and the minimum of itself and any number, and unequal to all.
 */
import { REPEATED_PLACE, type Repetition } from './broadcast.ts';
import { elementwise, elementwise4 } from './elementwise.ts';
import { IEEE_LOG_WGSL, IEEE_WGSL, ORDER_WGSL } from './ieee.ts';
import { type BufferSpec, type Kernel, memoize, type Scalar } from './kernel.ts';
import { placesWgsl, strideUniforms } from './strides.ts';

interface BinaryFunction {
  /** WGSL of f(a, b). */
  y: string;
  /** WGSL of the gradients; none for comparisons. */
  gradients?: { a: string; b: string };
  reference: (a: number, b: number) => number;
  gradientReferences?: {
    a: (dy: number, a: number, b: number) => number;
    b: (dy: number, a: number, b: number) => number;
  };
}

/** Half each of a gradient where both are equal, as PyTorch divides it; all of it to both where one is NaN. */
const share = (dy: number, more: number, less: number): number => (more < less ? 0 : more === less ? dy / 2 : dy);

const comparison = (wgsl: string, reference: (a: number, b: number) => boolean): BinaryFunction => ({
  y: `select(0.0, 1.0, ${wgsl})`,
  reference: (a, b) => Number(reference(a, b)),
});

const TABLE = {
  add: {
    y: 'a + b',
    gradients: { a: 'dy', b: 'dy' },
    reference: (a, b) => a + b,
    gradientReferences: { a: (dy) => dy, b: (dy) => dy },
  },
  subtract: {
    y: 'a - b',
    gradients: { a: 'dy', b: '-dy' },
    reference: (a, b) => a - b,
    gradientReferences: { a: (dy) => dy, b: (dy) => -dy },
  },
  multiply: {
    y: 'a * b',
    gradients: { a: 'dy * b', b: 'dy * a' },
    reference: (a, b) => a * b,
    gradientReferences: { a: (dy, _, b) => dy * b, b: (dy, a) => dy * a },
  },
  divide: {
    y: 'a / b',
    gradients: { a: 'dy / b', b: '-dy * (a / b / b)' },
    reference: (a, b) => a / b,
    gradientReferences: { a: (dy, _, b) => dy / b, b: (dy, a, b) => (-dy * a) / (b * b) },
  },
  maximum: {
    y: 'select(select(b, a, is_nan(a) || key(a) >= key(b)), b, is_nan(b) && !is_nan(a))',
    gradients: { a: 'share(dy, a, b)', b: 'share(dy, b, a)' },
    reference: Math.max,
    gradientReferences: { a: share, b: (dy, a, b) => share(dy, b, a) },
  },
  minimum: {
    y: 'select(select(b, a, is_nan(a) || key(a) <= key(b)), b, is_nan(b) && !is_nan(a))',
    gradients: { a: 'share(dy, b, a)', b: 'share(dy, a, b)' },
    reference: Math.min,
    gradientReferences: { a: (dy, a, b) => share(dy, b, a), b: share },
  },
  /** a to the power b: 1 where b is 0, NaN where a is negative and b not whole. */
  pow: {
    y: 'power(a, b)',
    gradients: {
      a: 'select(dy * (b * power(a, b - 1.0)), 0.0, is_zero(b))',
      b: 'select(dy * (power(a, b) * number_log(a)), 0.0, is_zero(a) && !is_nan(b) && key(b) >= 0)',
    },
    reference: (a, b) => a ** b,
    gradientReferences: {
      a: (dy, a, b) => (b === 0 ? 0 : dy * b * a ** (b - 1)),
      b: (dy, a, b) => (a === 0 && b >= 0 ? 0 : dy * a ** b * Math.log(a)),
    },
  },
  equal: comparison('ordered(a, b) && key(a) == key(b)', (a, b) => a === b),
  notEqual: comparison('!(ordered(a, b) && key(a) == key(b))', (a, b) => a !== b),
  less: comparison('ordered(a, b) && key(a) < key(b)', (a, b) => a < b),
  lessEqual: comparison('ordered(a, b) && key(a) <= key(b)', (a, b) => a <= b),
  greater: comparison('ordered(a, b) && key(a) > key(b)', (a, b) => a > b),
  greaterEqual: comparison('ordered(a, b) && key(a) >= key(b)', (a, b) => a >= b),
} satisfies Record<string, BinaryFunction>;

export type BinaryName = keyof typeof TABLE;
export type BinarySide = 'a' | 'b';

export const BINARY: Readonly<Record<BinaryName, BinaryFunction>> = TABLE;

/** WGSL of the gradient of a side; throws for comparisons, which have none. */
export function gradientText(name: BinaryName, side: BinarySide): string {
  const text = BINARY[name].gradients?.[side];
  if (text === undefined) throw new Error(`${name} has no gradient`);
  return text;
}

/**
 * Whole exponents up to 64 are products, correct to a few units in the last
 * place; others go through exp2 and log2, which WGSL does not define for zero and infinity.
 */
const FUNCTIONS_WGSL = /* wgsl */ `${IEEE_WGSL}${IEEE_LOG_WGSL}${ORDER_WGSL}
fn is_zero(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0u; }
fn share(dy: f32, more: f32, less: f32) -> f32 {
  if (!ordered(more, less) || key(more) > key(less)) { return dy; }
  return select(0.0, 0.5 * dy, key(more) == key(less));
}
fn number_log(x: f32) -> f32 { return select(ieee_log(vec4f(x)).x, x, is_nan(x)); }
fn size_power(size: f32, b: f32, whole: bool) -> f32 {
  let rises = bitcast<i32>(b) > 0;
  let infinite = !is_finite(b);
  if (is_zero(size)) { return bitcast<f32>(select(INFINITY_BITS, 0u, rises)); }
  if (!is_finite(size)) { return bitcast<f32>(select(0u, INFINITY_BITS, rises)); }
  if (infinite && size == 1.0) { return 1.0; }
  if (infinite) { return bitcast<f32>(select(0u, INFINITY_BITS, rises == (size > 1.0))); }
  if (whole && abs(b) <= 64.0) {
    var product = 1.0;
    var square = size;
    for (var n = u32(abs(b)); n > 0u; n >>= 1u) {
      if ((n & 1u) != 0u) { product *= square; }
      square *= square;
    }
    return select(1.0 / product, product, rises);
  }
  return exp2(b * log2(size));
}
fn power(a: f32, b: f32) -> f32 {
  if (is_zero(b) || bitcast<u32>(a) == 0x3f800000u) { return 1.0; }
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  let infinite = !is_finite(b);
  let large = abs(b) >= 16777216.0;
  let whole = infinite || large || trunc(b) == b;
  let odd = !infinite && !large && whole && (i32(b) & 1) != 0;
  let y = size_power(abs(a), b, whole);
  if (bitcast<u32>(a) < 0x80000000u) { return y; }
  if (!whole && !is_zero(a) && is_finite(a)) { return bitcast<f32>(select(0x7fc00000u, 0u, whole)); }
  return select(y, -y, odd);
}
`;

/** How a and b lie: both as the result; one repeated along merged axes, the other as the result; or both by strides of this rank. */
export type BinaryForm = 'same' | { repeated: BinarySide; of: Repetition } | { rank: number };

const formName = (form: BinaryForm): string =>
  form === 'same' ? '' : 'rank' in form ? `_strided_${form.rank}` : `_${form.repeated}_${form.of}`;

/** `text`, of some of dy, a and b, for every element. `full` has the shape of the result in every form. */
function binaryKernel(name: string, text: string, full: string | null, result: string, form: BinaryForm): Kernel {
  const read = ['a', 'b'].filter((x) => new RegExp(`\\b${x}\\b`).test(text));
  const inputs = [...(full === null ? [] : [full]), ...read];
  const f = `fn f(${inputs.map((x) => `${x}: f32`).join(', ')}) -> f32 { return ${text}; }`;
  const element = form === 'same' ? ' vec4f' : '';
  const buffers: Record<string, BufferSpec> = Object.fromEntries([
    ...inputs.map((x) => [x, `read${element}`] as const),
    [result, `write${element}`] as const,
  ]);
  const functions = /\w\(/.test(text) ? `${FUNCTIONS_WGSL}${f}` : f;
  const shared = { name: `${name}${formName(form)}`, buffers, functions };
  if (form === 'same') {
    const values = inputs.map((x) => `let ${x}4 = ${x}[i];`).join(' ');
    const parts = ['x', 'y', 'z', 'w'].map((part) => `f(${inputs.map((x) => `${x}4.${part}`).join(', ')})`);
    return elementwise4({ ...shared, body: `${values}\n    ${result}[i] = vec4f(${parts.join(', ')});` });
  }
  const at = (place: (x: string) => string): string =>
    `${result}[i] = f(${inputs.map((x) => `${x}[${x === full ? 'i' : place(x)}]`).join(', ')});`;
  if ('rank' in form) {
    const uniforms = Object.fromEntries(strideUniforms(form.rank, ['a', 'b']).map((u) => [u, 'u32' as Scalar]));
    return elementwise({
      ...shared,
      uniforms,
      body: `${placesWgsl(form.rank, ['a', 'b'])}\n    ${at((x) => `at_${x}`)}`,
    });
  }
  const { repeated, of } = form;
  return elementwise<string, string>({
    ...shared,
    uniforms: { channels: 'u32', inner: 'u32' },
    body: `let at = ${REPEATED_PLACE[of]};\n    ${at((x) => (x === repeated ? 'at' : 'i'))}`,
  });
}

/** Buffers a, b, y. */
export const binaryForward = memoize((name: BinaryName, form: BinaryForm): Kernel =>
  binaryKernel(name, BINARY[name].y, null, 'y', form),
);

/** Buffers dy, those of a and b that the gradient reads (`gradientReads`), and dx, which has the shape of dy in every form. */
export const binaryBackward = memoize((name: BinaryName, side: BinarySide, form: BinaryForm): Kernel =>
  binaryKernel(`${name}_backward_${side}`, gradientText(name, side), 'dy', 'dx', form),
);

/** Whether the gradient of a side reads a, or b. */
export const gradientReads = (name: BinaryName, side: BinarySide, of: BinarySide): boolean =>
  new RegExp(`\\b${of}\\b`).test(gradientText(name, side));

/** All as long as the result: what is repeated is given repeated. */
export const binaryReference = (name: BinaryName, a: Float64Array, b: Float64Array): Float64Array =>
  a.map((value, i) => BINARY[name].reference(value, b[i]!));

export const binaryBackwardReference = (
  name: BinaryName,
  side: BinarySide,
  dy: Float64Array,
  a: Float64Array,
  b: Float64Array,
): Float64Array => dy.map((value, i) => BINARY[name].gradientReferences![side](value, a[i]!, b[i]!));
