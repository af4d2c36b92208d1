/** Small pictures to label in tests of the page: discs and squares on a noisy ground, with the boxes that belong to them. */
import { PNG } from 'pngjs';
import { Random } from '../src/kernels/rng.ts';

export const SHAPES = ['disc', 'square'] as const;

export interface LabelScene {
  name: string;
  width: number;
  height: number;
  png: Buffer;
  /** Edges in pixels. */
  objects: { shape: (typeof SHAPES)[number]; x1: number; y1: number; x2: number; y2: number }[];
}

const [WIDTH, HEIGHT] = [128, 96];

/** Scene `number`, always the same: a disc and a square, apart from each other. */
export function labelScene(number: number): LabelScene {
  const random = new Random(1000 + number);
  const between = (least: number, most: number): number => least + Math.floor(random.next() * (most - least + 1));
  const png = new PNG({ width: WIDTH, height: HEIGHT });
  const ground = between(90, 130);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const grey = ground + between(-14, 14);
    png.data.set([grey, grey, grey + 8, 255], 4 * i);
  }
  const left = between(0, 1);
  const objects = SHAPES.map((shape, i) => {
    const side = between(26, 40);
    const half = (i + left) % 2;
    const x1 = half * (WIDTH / 2) + between(4, WIDTH / 2 - 4 - side);
    const y1 = between(4, HEIGHT - 4 - side);
    const colour = shape === 'disc' ? [230, 200, 70] : [60, 110, 220];
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const inside = shape === 'square' || Math.hypot(x + 0.5 - side / 2, y + 0.5 - side / 2) <= side / 2;
        const shade = between(-12, 12);
        const pixel = colour.map((value) => value + shade);
        if (inside) png.data.set(pixel, 4 * ((y1 + y) * WIDTH + x1 + x));
      }
    }
    return { shape, x1, y1, x2: x1 + side, y2: y1 + side };
  });
  return { name: `scene-${number}.png`, width: WIDTH, height: HEIGHT, png: PNG.sync.write(png), objects };
}
