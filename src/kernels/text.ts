/** Pieces of shader text that several kernels are made of. */

/** 0, 1, ..., n - 1: what an unrolled loop counts. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** `line` for every k below n, a line each: a loop that is written out, so that its variables stay in registers. */
export const unroll = (n: number, line: (k: number) => string): string => range(n).map(line).join('\n');

/** Four floats of a buffer, from an index on: rows of five or six numbers are not vec4f of their own. */
export const vec4At = (buffer: string, index: string): string =>
  `vec4f(${['', ' + 1u', ' + 2u', ' + 3u'].map((k) => `${buffer}[${index}${k}]`).join(', ')})`;
