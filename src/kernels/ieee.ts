/**
 * Tests for NaN and infinity on the bits. WGSL lets a compiler assume that neither exists, so that `x != x` may be false;
 * it lets `max`, `min` and `clamp` drop NaN, and `exp`, `log` and `pow` return anything for it (SwiftShader's exp(NaN) is
 * infinity). Integers are safe: a float is NaN if its bits without the sign exceed those of infinity, and not finite if its
 * exponent is all ones. `nan_exp`, `nan_log` and `nan_pow` keep NaN.
 */
export const IEEE_WGSL = /* wgsl */ `
const INFINITY_BITS = 0x7f800000u;
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > INFINITY_BITS; }
fn is_nan4(x: vec4f) -> vec4<bool> { return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(INFINITY_BITS); }
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & INFINITY_BITS) != INFINITY_BITS; }
fn is_finite4(x: vec4f) -> bool { return all((bitcast<vec4u>(x) & vec4u(INFINITY_BITS)) != vec4u(INFINITY_BITS)); }
fn nan_exp(x: f32) -> f32 { return select(exp(x), x, is_nan(x)); }
fn nan_log(x: f32) -> f32 { return select(log(x), x, is_nan(x)); }
fn nan_pow(x: f32, exponent: f32) -> f32 { return select(pow(x, exponent), x, is_nan(x)); }
`;

/**
 * The logarithm as IEEE 754 has it: -infinity of zeros, NaN of negative numbers. The bits of a subnormal number count units of
 * 2^-149, whatever the device makes of the number itself.
 */
export const IEEE_LOG_WGSL = /* wgsl */ `
fn ieee_log(x: vec4f) -> vec4f {
  let bits = bitcast<vec4u>(x);
  let subnormal = bits < vec4u(0x00800000u);
  let y = log(select(x, vec4f(bits), subnormal)) - select(vec4f(), vec4f(${149 * Math.LN2}), subnormal);
  let zero = select(bitcast<vec4u>(y), vec4u(0xff800000u), (bits & vec4u(0x7fffffffu)) == vec4u());
  return bitcast<vec4f>(select(zero, vec4u(0x7fc00000u), bits > vec4u(0x80000000u)));
}
`;

/** In addition to IEEE_WGSL: `key` orders numbers as integers, both zeros alike, and `ordered` says that neither number is NaN. */
export const ORDER_WGSL = /* wgsl */ `
fn key(x: f32) -> i32 {
  let size = bitcast<i32>(bitcast<u32>(x) & 0x7fffffffu);
  return select(size, -size, bitcast<u32>(x) >= 0x80000000u);
}
fn ordered(a: f32, b: f32) -> bool { return !(is_nan(a) || is_nan(b)); }
`;
