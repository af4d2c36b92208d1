/** Weights and pictures from a name and a seed: the numbers of scripts/goldens/seeded.py, bit for bit. */
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';

function fnv1a(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/** Values in [-1, 1), multiples of 2^-23. */
export function uniform(name: string, count: number): Float32Array {
  const seed = fnv1a(name);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let x = (Math.imul(i, 0x9e3779b9) + seed) >>> 0;
    x ^= x >>> 16;
    x = Math.imul(x, 0x7feb352d);
    x ^= x >>> 15;
    x = Math.imul(x, 0x846ca68b);
    x ^= x >>> 16;
    values[i] = (x >>> 8) / 2 ** 23 - 1;
  }
  return values;
}

export function picture(name: string, height: number, width: number): DecodedImage {
  const grids = [4, 9, 31].map((side) => ({ side, values: uniform(`${name}.${side}`, side * side * 3) }));
  const rgba = new Uint8Array(height * width * 4).fill(255);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) {
        let total = 0;
        for (const { side, values } of grids) {
          const [row, column] = [Math.floor((y * side) / height), Math.floor((x * side) / width)];
          total = Math.fround(total + values[(row * side + column) * 3 + c]!);
        }
        const value = Math.floor(Math.fround(128 + Math.fround(40 * total)));
        rgba[(y * width + x) * 4 + c] = Math.min(Math.max(value, 0), 255);
      }
  return { width, height, rgba };
}

const SCALES = {
  'block.': 1.3,
  inner_blocks: 0.4,
  cls_logits: 1,
  'rpn.head.bbox_pred': 0.15,
  cls_score: 1.5,
  'box_predictor.bbox_pred': 0.7,
};

/** The layers that give scores and boxes. */
const LAST = ['roi_heads.box_predictor.', 'rpn.head.cls_logits.', 'rpn.head.bbox_pred.'];

/**
 * A value for a tensor of a torchvision detector by its name. `heads`: factor of the weights of the last layers. `like`: the name
 * by which the size is chosen, if not its own.
 */
export function fill(own: string, shape: readonly number[], seed: string, heads = 1, like?: string): Float32Array {
  const count = shape.reduce((product, n) => product * n, 1);
  const values = uniform(`${seed}.${own}`, count);
  const name = like ?? own;
  const layer = name.split('.').at(-2)!;
  let value: (u: number) => number;
  if (name.endsWith('running_var')) value = (u) => 1 + 0.5 * u;
  else if (name.endsWith('running_mean')) value = (u) => 0.2 * u;
  else if (name.endsWith('bias') && shape.length === 1) value = (u) => 0.1 * u;
  else if (shape.length === 1) value = (u) => (layer === 'bn3' ? 0.3 : 1) * (1 + 0.3 * u);
  else {
    const scale = Object.entries(SCALES).find(([part]) => name.includes(part))?.[1] ?? 1.4;
    const last = LAST.some((layer) => name.startsWith(layer)) ? heads : 1;
    const factor = scale * last * Math.sqrt(3 / (count / shape[0]!));
    value = (u) => factor * u;
  }
  for (let i = 0; i < count; i++) values[i] = value(values[i]!);
  return values;
}

/** Values at fixed places, spread over a tensor. */
export const sampled = (values: ArrayLike<number>, count = 64): number[] =>
  Array.from({ length: count }, (_, i) => values[(i * 2654435761) % values.length]!);
