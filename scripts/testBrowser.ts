/**
 * Tests the library in a browser: bundles browserPage.ts, opens a page in headless Chromium and runs there what it holds.
 *
 *   npm run test:browser              the Chromium of the npm package @sparticuz/chromium, WebGPU on its SwiftShader
 *   npm run test:browser -- PATH      another Chromium, on the adapter that it offers
 *
 * Where no browser with WebGPU starts, it prints `skipped: ` and why, and that is no failure.
 */
import { build } from 'esbuild';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { root } from './shell.ts';

/** For everything that runs in the page; on two idle cores it takes half a minute. */
const LIMIT_S = 300;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-browser-'));
process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
process.env['TMPDIR'] = folder; // there the browser is unpacked, and has its profile

const browser = await launch(process.argv[2]).catch(({ message }: Error) => {
  // What the browser itself wrote, where it came so far, else the first line of a long report.
  const why = /\[err\] (.*)/.exec(message)?.[1] ?? message.split('\n')[0];
  skip(`no browser starts (${why}); name another: npm run test:browser -- PATH`);
});
try {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ['scripts/browserPage.ts'],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'rcnn',
    target: 'es2022',
    write: false,
  });
  const page = await browser.newPage();
  await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
  await page.goto('http://localhost/'); // WebGPU is for secure contexts: https, and this host
  await page.addScriptTag({ content: outputFiles[0]!.text });

  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`not done after ${LIMIT_S} s`)), LIMIT_S * 1000).unref();
  });
  /** The value of an expression in the page. */
  const inPage = <T>(expression: string): Promise<T> => Promise.race([page.evaluate<T>(expression), late]);

  const adapter = await inPage<string | null>('rcnn.open()');
  const name = `Chromium ${browser.version()}`;
  if (adapter === null) skip(`${name} has no WebGPU adapter`);
  console.log(`${name}, WebGPU on ${adapter}`);
  let failed = 0;
  for (const test of await inPage<string[]>('Object.keys(rcnn.tests)')) {
    const start = performance.now();
    const seconds = () => `${((performance.now() - start) / 1000).toFixed(0)} s`;
    try {
      const found = await inPage<string>(`rcnn.tests[${JSON.stringify(test)}]()`);
      console.log(`ok    ${test}: ${found} (${seconds()})`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${test}: ${(error as Error).message} (${seconds()})`);
    }
  }
  if (failed > 0) process.exitCode = 1;
} finally {
  await browser.close();
}

async function launch(executablePath?: string): Promise<Browser> {
  const args = ['--enable-unsafe-webgpu']; // without it Chromium has no WebGPU on Linux, nor on a software adapter
  if (executablePath === undefined) {
    args.push('--use-webgpu-adapter=swiftshader');
    // The package unpacks the libraries that a bare Linux lacks only where it takes itself to be on Amazon's.
    process.env['AWS_LAMBDA_JS_RUNTIME'] = 'nodejs20.x';
    executablePath = await (await import('@sparticuz/chromium')).default.executablePath();
  } else {
    args.push('--enable-features=Vulkan'); // how Chromium reaches a GPU on Linux
  }
  return chromium.launch({ executablePath, args, timeout: 60_000 });
}

function skip(why: string): never {
  console.log(`skipped: ${why}`);
  process.exit();
}
