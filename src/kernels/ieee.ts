/**
 * Tests for NaN and infinity by the bits. WGSL lets a compiler assume that neither exists, so that `x != x` may be false,
 * and lets `max`, `min` and `clamp` drop NaN. Integers are safe: a float is NaN where its bits without the sign exceed
 * those of infinity, and not finite where its exponent is all ones.
 */
export const IEEE_WGSL = /* wgsl */ `
const INFINITY_BITS = 0x7f800000u;
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > INFINITY_BITS; }
fn is_nan4(x: vec4f) -> vec4<bool> { return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(INFINITY_BITS); }
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & INFINITY_BITS) != INFINITY_BITS; }
fn is_finite4(x: vec4f) -> bool { return all((bitcast<vec4u>(x) & vec4u(INFINITY_BITS)) != vec4u(INFINITY_BITS)); }
`;
