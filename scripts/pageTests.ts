/** What testBrowser.ts does with the built page (web/), as a visitor would. Each test returns what it saw, or throws. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { PNG } from 'pngjs';
import type { Download, Page } from 'playwright-core';
import { parseRunConfig } from '../src/index.ts';
import { drop } from './browserSteps.ts';
import { publishedCase } from './publishedFile.ts';
import { root } from './shell.ts';

const STEPS = 20;
/** The threshold: after so few steps no score is higher. */
const LEAST_SCORE = '0.05';

/** @param folder for files */
export const pageTests = (page: Page, folder: string): Readonly<Record<string, () => Promise<string>>> => ({
  'check: every kernel, by a click': async () => {
    await page.click('nav a[href="#check"]');
    await page.click('#run-checks');
    await sees(page, '#check-state', /kernels passed/);
    const verdict = (await page.textContent('#check-state'))!;
    const failed = await page.locator('#checks .failed').allTextContents();
    if (!/^\d+ kernels passed, 0 failed$/.test(verdict)) throw new Error([verdict, ...failed].join('; '));
    const report = (await page.textContent('#report'))!;
    for (const part of [verdict, 'maxBufferSize', 'training step']) expect(report, new RegExp(part));
    return verdict;
  },

  'train: losses and boxes appear; pause, go on, evaluate': async () => {
    await page.click('nav a[href="#train"]');
    const empty = await looks(page, '#losses, #scenes canvas:first-child');
    await page.fill('#steps', String(STEPS));
    await page.click('#start');
    await page.waitForFunction(() => Number(document.querySelector('#step')!.textContent) >= 3);
    await page.click('#start');
    await sees(page, '#state', /^Paused\.$/);
    await page.waitForTimeout(1000); // lets the current step end
    const paused = await page.textContent('#step');
    await page.waitForTimeout(1000);
    expect((await page.textContent('#step'))!, new RegExp(`^${paused}$`));
    if (Number(paused) >= STEPS) throw new Error('it did not pause but ran to the end');
    await page.click('#start');
    await sees(page, '#map', /^0\.\d+$/);
    expect((await page.textContent('#step'))!, new RegExp(`^${STEPS}$`));
    const losses = (await page.locator('#terms b').allTextContents()).map(Number);
    if (losses.length !== 5 || !losses.every((loss) => loss > 0 && loss < 10)) throw new Error(`losses ${losses}`);
    const [sum, ...terms] = losses as [number, ...number[]];
    if (Math.abs(sum - terms.reduce((a, b) => a + b)) > 0.03) throw new Error(`${sum} is not the sum of ${terms}`);
    await page.click('#train-layer [data-choice=proposals]');
    const drawn = await looks(page, '#losses, #scenes canvas:first-child');
    drawn.forEach((look, i) => {
      if (look === empty[i]) throw new Error(`${i === 0 ? 'no curve' : 'no proposals'} were drawn`);
    });
    return `paused at step ${paused}; loss ${sum} after ${STEPS}`;
  },

  'detect: the weights saved and loaded find what the trained ones do': async () => {
    const files = await save(page, folder);
    parseRunConfig(fs.readFileSync(files[0]!, 'utf8'));
    await page.click('nav a[href="#detect"]');
    await page.fill('#threshold', LEAST_SCORE);
    await page.waitForSelector('#found li');
    const trained = await page.locator('#found li').allTextContents();
    const before = await looks(page, '#results canvas');
    await page.click('#weights [data-choice=loaded]');
    await sees(page, '#weights-facts', /^Choose the two files/);
    if (await page.isVisible('#outcome')) throw new Error('it shows what was found by other weights');
    await page.setInputFiles('#run-files', files);
    await sees(page, '#weights-facts', /^backbone small, 0\.4 million parameters, 10 classes: 0, 1, /);
    await page.waitForSelector('#found li');
    const loaded = await page.locator('#found li').allTextContents();
    if (loaded.join() !== trained.join()) throw new Error(`loaded: ${loaded}; trained: ${trained}`);
    if ((await looks(page, '#results canvas'))[0] !== before[0]) throw new Error('the boxes are at other places');
    expect((await page.textContent('#times'))!, /proposals\d+\.\d ms.*images\/s/);
    return `${loaded.length} detections`;
  },

  'detect: a picture from a file, and a drawing': async () => {
    const picture = path.join(folder, 'picture.png');
    await page.locator('#results canvas').screenshot({ path: picture });
    await page.click('#source [data-choice=pictures]');
    await page.setInputFiles('#tools input', [picture, picture]);
    await page.waitForFunction(() => document.querySelectorAll('#results canvas').length === 2);
    await page.waitForSelector('#found li');
    const found = await page.locator('#found li').count();
    await page.click('#source [data-choice=drawing]');
    const board = page.locator('#results canvas');
    await sees(page, '#tools', /Draw some digits/);
    const blank = await looks(page, '#results canvas');
    const { x, y, width } = (await board.boundingBox())!;
    await page.mouse.move(x + 0.4 * width, y + 0.3 * width);
    await page.mouse.down();
    await page.mouse.move(x + 0.5 * width, y + 0.7 * width, { steps: 4 });
    await page.mouse.up();
    if ((await looks(page, '#results canvas'))[0] === blank[0]) throw new Error('the stroke does not show');
    return `${found} detections in the picture`;
  },

  'detect: a file that is cut off is one line': async () => {
    const [config, checkpoint] = ['config.json', 'checkpoint.safetensors'].map((name) => path.join(folder, name));
    fs.truncateSync(checkpoint!, 5000);
    await page.setInputFiles('#run-files', [config!, checkpoint!]);
    await sees(page, '#trouble', /^checkpoint\.safetensors: .* it is cut off /);
    return (await page.textContent('#trouble'))!;
  },

  "detect: torchvision's own file of weights finds what torchvision finds": async () => {
    const { file, pth, picture, found } = await publishedCase();
    const [weights, image] = [file, 'picture.png'].map((name) => path.join(folder, name)) as [string, string];
    fs.writeFileSync(weights, pth);
    const png = new PNG({ width: picture.width, height: picture.height });
    png.data.set(picture.rgba);
    fs.writeFileSync(image, PNG.sync.write(png));
    await page.setInputFiles('#run-files', weights);
    await sees(
      page,
      '#weights-facts',
      /^backbone mobilenet_v3_large_320_fpn, 19\.\d million .* person, bicycle, car, /,
    );
    await page.click('#source [data-choice=pictures]');
    await page.setInputFiles('#tools input', image);
    await page.waitForSelector('#found li');
    const listed = await page
      .locator('#found li')
      .evaluateAll((all) => all.map((one) => [...one.children].map(({ textContent }) => textContent!)));
    const missing = found
      .filter(({ score }) => score > Number(LEAST_SCORE) + 1e-3)
      .filter(
        ({ name, score }) => !listed.some(([other, text]) => other === name && Math.abs(Number(text) - score) < 0.006),
      );
    if (missing.length > 0 || listed.length !== found.length)
      throw new Error(`${listed.length} of ${found.length}, missing ${JSON.stringify(missing)}`);
    return `${listed.length} detections`;
  },

  'detect: files that are dropped on any part of the page': async () => {
    await page.click('nav a[href="#train"]');
    const devtools = await page.context().newCDPSession(page);
    const dropped = path.join(folder, 'dropped.png');
    fs.copyFileSync(path.join(folder, 'picture.png'), dropped);
    await drop(devtools, { x: 300, y: 300 }, [dropped]);
    await page.waitForSelector('#results canvas[aria-label^="dropped.png; found: "]');
    const notes = path.join(folder, 'notes.txt');
    fs.writeFileSync(notes, 'buy milk');
    await drop(devtools, { x: 300, y: 300 }, [notes]);
    await sees(page, '#trouble', /^Drop images, the two files of a run /);
    return (await page.textContent('#trouble'))!;
  },

  'detect: files that hold no published detector are one line each': async () => {
    const { files } = JSON.parse(fs.readFileSync(path.join(root, 'test/golden/pytorch-files.json'), 'utf8')) as {
      files: Record<string, string>;
    };
    const pth = (name: string): Buffer => Buffer.from(files[name]!, 'base64');
    const lines: string[] = [];
    for (const [name, buffer, trouble] of [
      ['module.pth', pth('module'), /^module\.pth: is a whole pickled model .*; save its weights alone/],
      ['cut.pth', pth('state').subarray(0, 900), /^cut\.pth: .* it is cut off, damaged or not a PyTorch file/],
      ['cut.pkl', Buffer.from([0x80, 4, 0x95, 0]), /^cut\.pkl: /],
      ['layer.PTH', pth('state'), /^layer\.PTH: holds no whole detector; /],
      ['text.safetensors', Buffer.from('no weights'), /^text\.safetensors: /],
    ] as const) {
      await page.setInputFiles('#run-files', { name, mimeType: '', buffer });
      await sees(page, '#trouble', trouble);
      const line = (await page.textContent('#trouble'))!;
      if (line.includes('\n')) throw new Error(`more than a line: ${line}`);
      lines.push(line);
    }
    // What was loaded before is still there.
    expect((await page.textContent('#weights-facts'))!, /^backbone mobilenet_v3_large_320_fpn, /);
    return lines.at(-1)!;
  },
});

/** The files that a click on "Save weights" downloads: config.json, checkpoint.safetensors. */
async function save(page: Page, folder: string): Promise<string[]> {
  const downloads: Download[] = [];
  page.on('download', (download) => downloads.push(download));
  await page.click('#save');
  for (let i = 0; downloads.length < 2 && i < 100; i++) await page.waitForTimeout(100);
  const names = downloads.map((download) => download.suggestedFilename()).sort();
  expect(names.join(), /^checkpoint\.safetensors,config\.json$/);
  for (const download of downloads) await download.saveAs(path.join(folder, download.suggestedFilename()));
  return names.reverse().map((name) => path.join(folder, name));
}

/** Waits until an element's text matches. */
async function sees(page: Page, selector: string, text: RegExp): Promise<void> {
  await page
    .waitForFunction(
      ([selector, source]) => new RegExp(source!, 's').test(document.querySelector(selector!)!.textContent!),
      [selector, text.source],
    )
    .catch(async () => {
      const trouble = await page.textContent('#trouble');
      throw new Error(`${selector} says '${await page.textContent(selector)}', not ${text}; the page: '${trouble}'`);
    });
}

/** The contents of canvases, for comparison. */
const looks = (page: Page, selector: string): Promise<string[]> =>
  page.locator(selector).evaluateAll((canvases) => (canvases as HTMLCanvasElement[]).map((one) => one.toDataURL()));

function expect(text: string, pattern: RegExp): void {
  if (!pattern.test(text)) throw new Error(`'${text}' is not as it should be: ${pattern}`);
}
