/**
 * Canvases for pictures and plots, through @napi-rs/canvas, with the font of an npm package: labels are drawn even on a machine
 * without fonts. `writePng` writes a canvas to a file.
 */
import { join } from 'node:path';
import type { Canvas, SKRSContext2D } from '@napi-rs/canvas';
import { loadPackage, packageFolder } from '../engine/node/optionalPackages.ts';
import { replaceFile } from '../engine/node/writeFile.ts';

export type { Canvas, SKRSContext2D };

export const FONT = 'DejaVu Sans';

/** An empty canvas whose fonts are ready. */
export function newCanvas(width: number, height: number): Canvas {
  const { GlobalFonts, createCanvas } = loadPackage<typeof import('@napi-rs/canvas')>('@napi-rs/canvas');
  if (!GlobalFonts.has(FONT)) {
    const folder = join(packageFolder('dejavu-fonts-ttf'), 'ttf');
    GlobalFonts.registerFromPath(join(folder, 'DejaVuSans.ttf'), FONT);
    GlobalFonts.registerFromPath(join(folder, 'DejaVuSans-Bold.ttf'), FONT);
  }
  return createCanvas(width, height);
}

/** Writes a canvas as PNG, all or nothing; makes the folder. */
export async function writePng(path: string, canvas: Canvas): Promise<void> {
  replaceFile(path, await canvas.encode('png'));
}
