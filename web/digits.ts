/**
 * Reads the handwritten digits that lie beside the page, a part of MNIST packed by scripts/buildWeb.ts: a gzipped file for
 * each split, with a label for each digit and then 28x28 bytes for each. The splits share no digit.
 */
import { type Glyphs, UserError } from '../src/index.ts';

const BYTES = 28 * 28 + 1;

export async function readDigits(): Promise<Record<string, Glyphs>> {
  const [train, test] = await Promise.all([read('digits-train.bin'), read('digits-test.bin')]);
  return { train: train!, test: test! };
}

async function read(file: string): Promise<Glyphs> {
  const response = await fetch(file);
  if (!response.ok) throw new UserError(`${file}: ${response.status} ${response.statusText}; build the page again`);
  const unpacked = response.body!.pipeThrough(new DecompressionStream('gzip'));
  const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
  const count = bytes.length / BYTES;
  return { labels: bytes.subarray(0, count), images: bytes.subarray(count), count };
}
