/** Pieces of shader text that several kernels are made of. */

/** 0, 1, ..., n - 1: the counter of an unrolled loop. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** `line` for every k below n, one per line: an unrolled loop, so that its variables stay in registers. */
export const unroll = (n: number, line: (k: number) => string): string => range(n).map(line).join('\n');

/** Four floats of a buffer from an index on, for rows of five or six numbers, which cannot be bound as vec4f. */
export const vec4At = (buffer: string, index: string): string =>
  `vec4f(${['', ' + 1u', ' + 2u', ' + 3u'].map((k) => `${buffer}[${index}${k}]`).join(', ')})`;
