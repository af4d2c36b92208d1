/** The colour spaces of Selective Search's fast mode, from red, green and blue; every channel spans 0 to 255. */
import type { Planes } from './planes.ts';

export type ColourSpace = 'hsv' | 'lab';

export const inColourSpace = (rgb: Planes, space: ColourSpace): Planes =>
  mapPixels(rgb, space === 'hsv' ? toHsv : toLab);

type Colour = [number, number, number];

function mapPixels(planes: Planes, map: (r: number, g: number, b: number, result: Colour) => void): Planes {
  const [red, green, blue] = planes.channels as [Float32Array, Float32Array, Float32Array];
  const channels = planes.channels.map((plane) => new Float32Array(plane.length));
  const [first, second, third] = channels;
  const colour: Colour = [0, 0, 0];
  for (let i = 0; i < red.length; i++) {
    map(red[i], green[i], blue[i], colour);
    first[i] = colour[0];
    second[i] = colour[1];
    third[i] = colour[2];
  }
  return { ...planes, channels };
}

/** Hue (0 for grey), saturation and value. The circle of hues is cut open at red, as in the authors' code. */
function toHsv(r: number, g: number, b: number, result: Colour): void {
  const value = Math.max(r, g, b);
  const chroma = value - Math.min(r, g, b);
  let hue = 0;
  if (chroma > 0) {
    if (value === r) hue = (g - b) / chroma;
    else if (value === g) hue = 2 + (b - r) / chroma;
    else hue = 4 + (r - g) / chroma;
    if (hue < 0) hue += 6;
  }
  result[0] = (hue / 6) * 255;
  result[1] = value > 0 ? (chroma / value) * 255 : 0;
  result[2] = value;
}

/** The Lab of sRGB under D65 (CIE 1976): L stretched from 0..100, a and b shifted by 128. */
function toLab(r: number, g: number, b: number, result: Colour): void {
  const [lr, lg, lb] = [linear(r), linear(g), linear(b)];
  const fx = labRoot((0.4124564 * lr + 0.3575761 * lg + 0.1804375 * lb) / 0.95047);
  const fy = labRoot(0.2126729 * lr + 0.7151522 * lg + 0.072175 * lb);
  const fz = labRoot((0.0193339 * lr + 0.119192 * lg + 0.9503041 * lb) / 1.08883);
  result[0] = (116 * fy - 16) * 2.55;
  result[1] = 500 * (fx - fy) + 128;
  result[2] = 200 * (fy - fz) + 128;
}

/** sRGB's curve at sixteenths of its 256 levels. */
const LINEAR = Float64Array.from({ length: 255 * 16 + 1 }, (_, i) => {
  const value = i / (255 * 16);
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});

const linear = (level: number): number => LINEAR[Math.round(16 * Math.min(255, Math.max(0, level)))];

const labRoot = (t: number): number => (t > 216 / 24389 ? Math.cbrt(t) : (t * (24389 / 27) + 16) / 116);
