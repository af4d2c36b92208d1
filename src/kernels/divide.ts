/**
 * Integer division through floats. Shaders that turn an index into coordinates divide by extents known only at run time.
 * Vector units cannot divide integers, so a software adapter divides lane by lane, and a GPU needs some twenty instructions;
 * converting a float back to an integer is just as slow (lavapipe, 8 lanes: division 20 ns, this 10 ns).
 *
 * `divide(x, d)` = floor(x / d), exactly, for x < 2^31 and 0 < d <= 2^22.
 *
 * Adding 1.5 * 2^k to a float leaves its integer part, rounded to 2^(k - 23), in the low bits: no conversion. The first
 * quotient is x (1/d) to a multiple of 512 (k = 32): with what the floats lose (WGSL allows a reciprocal 2.5 units in the
 * last place) it is off by less than 1100, and the remainder, less than 512 d either way, is an exact i32. The second adds
 * the remainder's own quotient (k = 23), off by at most 1 whichever way the sum was rounded; comparing settles that.
 */
export const DIVIDE_WGSL = /* wgsl */ `
fn divide(x: u32, d: u32) -> u32 {
  let scale = 1.0 / f32(i32(d));
  let coarse = (bitcast<u32>(f32(i32(x)) * scale + 6442450944.0) - 0x4fc00000u) << 9u;
  let rest = i32(x - coarse * d);
  let fine = coarse + bitcast<u32>(f32(rest) * scale + 12582912.0) - 0x4b400000u;
  let left = i32(x - fine * d);
  return fine + select(0u, 1u, left >= i32(d)) - select(0u, 1u, left < 0);
}
`;
