/** Half to even, as C's rint, NumPy's round and WGSL's round: 2.5 becomes 2, 3.5 becomes 4. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
