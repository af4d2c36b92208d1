/**
 * Canvases for pictures and plots, through @napi-rs/canvas, with a font of our own: a machine without any still draws
 * its labels. Canvases become files by `writePng`.
 */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Canvas, GlobalFonts, type SKRSContext2D, createCanvas } from '@napi-rs/canvas';
import { UserError } from '../engine/errors.ts';

export type { Canvas, SKRSContext2D };

export const FONT = 'DejaVu Sans';

/** An empty canvas whose fonts are ready. */
export function newCanvas(width: number, height: number): Canvas {
  if (!GlobalFonts.has(FONT)) {
    const folder = join(dirname(createRequire(import.meta.url).resolve('dejavu-fonts-ttf/package.json')), 'ttf');
    GlobalFonts.registerFromPath(join(folder, 'DejaVuSans.ttf'), FONT);
    GlobalFonts.registerFromPath(join(folder, 'DejaVuSans-Bold.ttf'), FONT);
  }
  return createCanvas(width, height);
}

/** Writes beside the target, flushes and renames, so that a file under its own name is always whole. Makes the folder. */
export async function writePng(path: string, canvas: Canvas): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(await canvas.encode('png'));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // the first error is the one to tell
    throw new UserError(
      `${path}: cannot be written (${(error as Error).message}); free some space or choose another place`,
    );
  }
}
