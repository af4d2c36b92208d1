/** bfloat16: the upper half of a float32, rounded to the nearest, ties to even. */

/** Of the bits of float32 values. */
export function toBf16(bits: Uint32Array, into: Uint16Array): void {
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    into[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

export function fromBf16(halves: Uint16Array, into: Uint32Array): void {
  for (let i = 0; i < halves.length; i++) into[i] = halves[i]! << 16;
}
