/**
 * `divide(a, b)`: the whole quotient of two u32 below 2^24, b > 0. They are divided as floats, which software adapters do
 * many times faster than integers, and the quotient is mended: off by one at the most, as WGSL's division is to 2.5 ulp.
 */
export const DIVIDE_WGSL = /* wgsl */ `
fn divide(a: u32, b: u32) -> u32 {
  var q = u32(f32(a) / f32(b));
  if (q * b > a) { q--; }
  if ((q + 1u) * b <= a) { q++; }
  return q;
}
`;
