/** Builds the page, web/, into a folder: files for any static host. */
import { build, type BuildOptions } from 'esbuild';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Glyphs } from '../src/data/glyphs.ts';
import { readGlyphs } from '../src/data/mnistFiles.ts';
import { root } from './shell.ts';

/** How many of MNIST's digits the page gets to draw its scenes with: about a megabyte. Ten times as many do not improve the detector. */
const DIGITS = { train: 5000, test: 1000 } as const;

/**
 * Keeps zod from trying out whether it may compile its schemas, which a content security policy without `unsafe-eval` reports as
 * an error. zod keeps its configuration in this global and reads it while the modules load. It stands at the top of every file,
 * since the file with zod may be the first to run.
 */
const WITHOUT_EVAL = 'globalThis.__zod_globalConfig={jitless:true};';

export const webOptions = (folder: string): BuildOptions & { outdir: string } => ({
  absWorkingDir: root,
  entryPoints: ['index.html', 'style.css', 'page.ts', 'worker.ts', 'recorded/run.json', 'recorded/digits.bin'].map(
    (file) => `web/${file}`,
  ),
  banner: { js: WITHOUT_EVAL },
  loader: { '.html': 'copy', '.json': 'copy', '.bin': 'copy' },
  outdir: folder,
  bundle: true,
  splitting: true, // so that page and worker share files
  platform: 'browser',
  format: 'esm',
  target: 'es2022',
  minify: true,
});

export async function buildWeb(folder: string): Promise<void> {
  packDigits(folder);
  await build(webOptions(folder));
}

/** The digits that the page gets. */
export function packedDigits(): Record<'train' | 'test', Glyphs> {
  const first = (split: 'train' | 'test'): Glyphs => {
    const { labels, images } = readGlyphs(split);
    const count = DIGITS[split];
    return { labels: labels.subarray(0, count), images: images.subarray(0, count * 28 * 28), count };
  };
  return { train: first('train'), test: first('test') };
}

/** Writes the digits in the form that web/digits.ts reads. */
export function packDigits(folder: string): void {
  fs.mkdirSync(folder, { recursive: true });
  for (const [split, { labels, images }] of Object.entries(packedDigits())) {
    const bytes = Buffer.concat([labels, images]);
    fs.writeFileSync(path.join(folder, `digits-${split}.bin`), gzipSync(bytes, { level: 9 }));
  }
}
