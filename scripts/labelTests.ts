/** What testBrowser.ts does in the page's Label part, as a visitor would. Each test returns what it saw, or throws. */
import type { Page } from 'playwright-core';
import { iou } from '../src/kernels/boxes.ts';
import { type LabelScene, labelScene, SHAPES } from './labelScenes.ts';

const LABELLED = 12;
const STEPS = 120;

interface Edges {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export const labelTests = (page: Page): Readonly<Record<string, () => Promise<string>>> => ({
  'label: 12 pictures by mouse, trained, the objects of a 13th found and accepted': async () => {
    await page.click('nav a[href="#label"]');
    for (const shape of SHAPES) {
      await page.fill('#class-name', shape);
      await page.click('#add-class button');
    }
    const scenes = Array.from({ length: LABELLED }, (_, i) => labelScene(i));
    await add(page, scenes);
    for (const scene of scenes) {
      for (const object of scene.objects) {
        await page.click(`#classes li:nth-child(${SHAPES.indexOf(object.shape) + 1}) .swatch`);
        await draw(page, scene, object);
        // A box that is selected takes its class from the next click on one.
        await page.keyboard.press('Escape');
      }
      const listed = await boxes(page);
      expectEqual(listed, scene.objects);
      await page.click('#next');
    }
    await page.fill('#label-steps', String(STEPS));
    await page.click('#label-start');
    await page.waitForFunction(() => /^Done/.test(document.querySelector('#label-training')!.textContent!));
    await add(page, [labelScene(LABELLED)]);
    await page.click('#pictures li:last-child button');
    await page.waitForSelector('#proposed:not([hidden])');
    await page.click('#accept-all');
    const found = await boxes(page);
    const seen = JSON.stringify(found);
    const overlaps = labelScene(LABELLED).objects.map((object) => {
      const own = found.filter(({ shape }) => shape === object.shape);
      const best = Math.max(0, ...own.map((box) => iou(corners(box), corners(object), 0)));
      if (!(best > 0.5)) throw new Error(`no ${object.shape} at its place: ${seen}`);
      return `${object.shape} (IoU ${best.toFixed(2)})`;
    });
    if (found.length !== overlaps.length) throw new Error(`found ${seen}`);
    return `${STEPS} steps; found ${overlaps.join(' and ')}`;
  },
});

async function add(page: Page, scenes: readonly LabelScene[]): Promise<void> {
  const before = await page.locator('#pictures li').count();
  const files = scenes.map(({ name, png }) => ({ name, mimeType: 'image/png', buffer: png }));
  await page.setInputFiles('#label-files', files);
  await page.waitForFunction(
    (count) => document.querySelectorAll('#pictures li').length === count,
    before + scenes.length,
  );
}

/** Draws a box with the mouse, on the picture that is shown whole. */
async function draw(page: Page, { width, height }: LabelScene, { x1, y1, x2, y2 }: Edges): Promise<void> {
  const surface = (await page.locator('#surface').boundingBox())!;
  const scale = Math.min((surface.width - 16) / width, (surface.height - 16) / height);
  const at = (x: number, y: number): [number, number] => [
    surface.x + (surface.width - width * scale) / 2 + x * scale,
    surface.y + (surface.height - height * scale) / 2 + y * scale,
  ];
  await page.mouse.move(...at(x1, y1));
  await page.mouse.down();
  await page.mouse.move(...at(x2 - 3, y2 - 3));
  await page.mouse.move(...at(x2, y2));
  await page.mouse.up();
}

/** The boxes in the picture that is shown, as the page lists them. */
async function boxes(page: Page): Promise<LabelScene['objects']> {
  const lines = await page.locator('#boxes .name').allTextContents();
  return lines.map((line) => {
    const [, shape, x, y, width, height] = /^(\S+) (\d+), (\d+), (\d+) × (\d+)$/.exec(line) ?? [];
    if (shape === undefined) throw new Error(`not a box: ${line}`);
    const [x1, y1] = [Number(x), Number(y)];
    return { shape: shape as 'disc', x1, y1, x2: x1 + Number(width), y2: y1 + Number(height) };
  });
}

const corners = ({ x1, y1, x2, y2 }: Edges) => [x1, y1, x2, y2] as const;

function expectEqual(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}
