/**
 * Tests the library and the page (web/) in headless Chromium: bundles browserPage.ts and runs its tests there, then builds the
 * page and uses it as a visitor would (pageTests.ts, labelTests.ts).
 *
 *   npm run test:browser              the Chromium of the npm package @sparticuz/chromium, WebGPU on its SwiftShader
 *   npm run test:browser -- PATH      another Chromium, on the adapter that it offers
 *
 * If no browser with WebGPU starts, it prints `skipped: ` and the reason, and does not fail.
 */
import { build } from 'esbuild';
import * as path from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { buildWeb } from './buildWeb.ts';
import { launchChromium, temporaryFolder } from './chromium.ts';
import { accessible } from './accessible.ts';
import { gestureTests } from './gestureTests.ts';
import { labelTests } from './labelTests.ts';
import { pageTests } from './pageTests.ts';
import { fileServer, listen } from './serve.ts';
import { root } from './shell.ts';

/** The limit for each test. On two idle cores all tests together take about two minutes, mostly for the check of every kernel. */
const LIMIT_S = 240;

const [executablePath] = process.argv.slice(2);
const browser = await launch();
let failed = 0;
try {
  await testLibrary(browser);
  await testPage(browser);
} finally {
  await browser.close();
}
if (failed > 0) process.exitCode = 1;

type PageTests = Readonly<Record<string, () => Promise<string>>>;

async function test(name: string, run: () => Promise<string>): Promise<void> {
  const start = performance.now();
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(0)} s`;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_S} s`)), LIMIT_S * 1000);
  });
  try {
    const found = await Promise.race([run(), late]);
    console.log(`ok    ${name}: ${found} (${seconds()})`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}: ${(error as Error).message} (${seconds()})`);
  } finally {
    clearTimeout(timer);
  }
}

async function testLibrary(browser: Browser): Promise<void> {
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
  const adapter = await page.evaluate<string | null>('rcnn.open()');
  const name = `Chromium ${browser.version()}`;
  if (adapter === null) skip(`${name} has no WebGPU adapter`);
  console.log(`${name}, WebGPU on ${adapter}`);
  for (const name of await page.evaluate<string[]>('Object.keys(rcnn.tests)')) {
    await test(name, () => page.evaluate(`rcnn.tests[${JSON.stringify(name)}]()`));
  }
  await page.close();
}

/** Tests the built page in a subfolder of the host, so that its paths must be relative. */
async function testPage(browser: Browser): Promise<void> {
  await buildWeb(path.join(temporaryFolder, 'site', 'page'));
  const site = fileServer(path.join(temporaryFolder, 'site'));
  const port = await listen(site, 0, true);
  const address = `http://localhost:${port}/page/`;
  try {
    const errors: string[] = [];
    const visit = async (options: BrowserContextOptions, tests: (page: Page) => PageTests): Promise<Page> => {
      const page = await browser.newPage(options);
      page.setDefaultTimeout(LIMIT_S * 1000);
      page.on('pageerror', ({ message }) => errors.push(message));
      page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
      await page.goto(address);
      for (const [name, run] of Object.entries(tests(page))) {
        await test(`page, ${name}`, async () => {
          const found = await run();
          const trouble = await page.textContent('#trouble');
          if (trouble !== '' && trouble !== found) throw new Error(`the page says '${trouble}'`);
          return found;
        });
      }
      return page;
    };
    const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
    await (await visit(phone, (page) => gestureTests(page, temporaryFolder))).close();
    const page = await visit({ viewport: { width: 1280, height: 900 } }, (page) => ({
      ...pageTests(page, temporaryFolder),
      ...labelTests(page),
    }));
    await test('page, without an error in the console', async () => {
      if (errors.length > 0) throw new Error(errors.join('; '));
      return 'none';
    });
    await test('page, the device lost while it trains', () => loseDevice(browser, page));
    await page.close();
    if (executablePath === undefined) await test('page, without WebGPU', () => withoutWebGpu(address));
  } finally {
    site.close();
  }
}

/** Crashes the browser's GPU process; the page must say what to do. */
async function loseDevice(browser: Browser, page: Page): Promise<string> {
  await page.reload();
  await page.click('nav a[href="#train"]');
  await page.click('#start:enabled');
  await page.waitForFunction(() => Number(document.querySelector('#step')!.textContent) >= 1);
  const devtools = await browser.newBrowserCDPSession();
  devtools.send('Browser.crashGpuProcess').catch(() => {}); // it never answers
  await page.waitForSelector('#trouble:not([hidden])');
  await page.waitForSelector('#start:enabled:text("Train again")');
  await page.click('nav a[href="#label"]');
  await page.click('#pictures li:first-child button');
  await page.waitForSelector('#boxes li'); // the labels are kept
  const trouble = (await page.textContent('#trouble'))!;
  if (!/^The GPU device was lost [^\n]* Reload this page to go on\.$/.test(trouble)) throw new Error(trouble);
  return trouble;
}

async function withoutWebGpu(address: string): Promise<string> {
  const browser = await launchChromium(undefined, { webgpu: false });
  try {
    const page = await browser.newPage();
    await page.goto(address);
    await page.waitForSelector('#trouble:not([hidden])');
    const trouble = (await page.textContent('#trouble'))!;
    // Headless Chromium has WebGPU without a GPU, or does not have it, as the system allows.
    if (!/^this browser (has no WebGPU: open|offers no GPU: switch on) [^\n]*Chrome[^\n]*$/.test(trouble))
      throw new Error(trouble);
    const state = (await page.textContent('#state'))!;
    if (!/^A recorded run: 3000 steps /.test(state)) throw new Error(state);
    const names = await page
      .locator('#scenes canvas')
      .evaluateAll((all) => all.map(({ ariaLabel }) => ariaLabel ?? ''));
    if (names.length !== 9 || !names.every((name) => /^Test scene \d; found: \d/.test(name)))
      throw new Error(names.join());
    await accessible(page);
    return trouble;
  } finally {
    await browser.close();
  }
}

async function launch(): Promise<Browser> {
  return launchChromium(executablePath).catch(({ message }: Error) => {
    // What the browser itself wrote, if it got that far; otherwise the first line of a long report.
    const why = /\[err\] (.*)/.exec(message)?.[1] ?? message.split('\n')[0];
    skip(`no browser starts (${why}); name another: npm run test:browser -- PATH`);
  });
}

function skip(why: string): never {
  console.log(`skipped: ${why}`);
  process.exit();
}
