/** Builds the page, web/, into a folder: files for any static host. */
import { build, type BuildOptions } from 'esbuild';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { readGlyphs } from '../src/data/mnistFiles.ts';
import { root } from './shell.ts';

/** How many of MNIST's digits the page gets to draw its scenes with: about a megabyte. Ten times as many do not improve the detector. */
const DIGITS = { train: 5000, test: 1000 } as const;

export const webOptions = (folder: string): BuildOptions & { outdir: string } => ({
  absWorkingDir: root,
  entryPoints: ['web/index.html', 'web/style.css', 'web/page.ts', 'web/worker.ts'],
  loader: { '.html': 'copy' },
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

/** Writes the digits in the form that web/digits.ts reads. */
export function packDigits(folder: string): void {
  fs.mkdirSync(folder, { recursive: true });
  for (const split of ['train', 'test'] as const) {
    const { labels, images } = readGlyphs(split);
    const count = DIGITS[split];
    const bytes = Buffer.concat([labels.subarray(0, count), images.subarray(0, count * 28 * 28)]);
    fs.writeFileSync(path.join(folder, `digits-${split}.bin`), gzipSync(bytes, { level: 9 }));
  }
}
