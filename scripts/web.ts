/**
 * The page: trains and detects in a browser.
 *
 *   npm run web                     serves it on this machine and prints its address; changes are built again
 *   npm run web -- --build FOLDER   writes its files, for any static host
 */
import { Command, InvalidArgumentError } from 'commander';
import { context } from 'esbuild';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { buildWeb, packDigits, webOptions } from './buildWeb.ts';
import { fileServer, listen } from './serve.ts';
import { fail } from './shell.ts';

const port = (text: string): number => {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0 && number < 65536) return number;
  throw new InvalidArgumentError('it must be a number from 1 to 65535.');
};

const { build: target, port: wanted } = new Command('npm run web --')
  .description('Serve the page that trains and detects in a browser, or write its files.')
  .option('--build <folder>', 'write the files there instead, for any static host')
  .option('--port <number>', 'the port to serve on; default: 8000, or the next that is free', port)
  .parse()
  .opts<{ build?: string; port?: number }>();

if (target !== undefined) await write(path.resolve(target));
else await serve();

async function write(folder: string): Promise<void> {
  const before = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  if (before.length > 0 && !before.includes('worker.js')) {
    fail(`${folder}: holds other files; name a new folder, or that of an earlier build`);
  }
  for (const file of before) if (file.endsWith('.js')) fs.rmSync(path.join(folder, file)); // their names change
  await buildWeb(folder);
  const bytes = fs.readdirSync(folder).reduce((sum, file) => sum + fs.statSync(path.join(folder, file)).size, 0);
  console.log(`${folder}: ${(bytes / 2 ** 20).toFixed(1)} MiB; serve it by https, or from localhost`);
}

async function serve(): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-web-'));
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  process.once('SIGINT', () => process.exit());
  process.once('SIGTERM', () => process.exit());
  packDigits(folder);
  const page = await context(webOptions(folder));
  const server = fileServer(folder, () => page.rebuild());
  const served = await listen(server, wanted ?? 8000, wanted !== undefined).catch((error: Error) =>
    fail(`--port ${wanted ?? 8000}: ${error.message}; choose another`),
  );
  console.log(`http://localhost:${served}/   (Ctrl-C ends it)`);
}
