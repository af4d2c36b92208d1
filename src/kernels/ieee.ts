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
