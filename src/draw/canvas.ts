/**
 * Canvases for pictures and plots, through @napi-rs/canvas, with a bundled font: labels are drawn even on a machine without
 * fonts. `writePng` writes a canvas to a file.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Canvas, SKRSContext2D } from '@napi-rs/canvas';
import { replaceFile } from '../engine/node/writeFile.ts';
import { nativePackage } from '../engine/node/nativePackage.ts';

export type { Canvas, SKRSContext2D };

export const FONT = 'DejaVu Sans';

/** An empty canvas whose fonts are ready. */
export function newCanvas(width: number, height: number): Canvas {
  const { GlobalFonts, createCanvas } = nativePackage<typeof import('@napi-rs/canvas')>(
    '@napi-rs/canvas',
    'draws pictures',
  );
  if (!GlobalFonts.has(FONT)) {
    const folder = join(dirname(createRequire(import.meta.url).resolve('dejavu-fonts-ttf/package.json')), 'ttf');
    GlobalFonts.registerFromPath(join(folder, 'DejaVuSans.ttf'), FONT);
    GlobalFonts.registerFromPath(join(folder, 'DejaVuSans-Bold.ttf'), FONT);
  }
  return createCanvas(width, height);
}

/** Writes a canvas as PNG, all or nothing; makes the folder. */
export async function writePng(path: string, canvas: Canvas): Promise<void> {
  replaceFile(path, await canvas.encode('png'));
}
