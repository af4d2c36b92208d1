/** What testBrowser.ts does in the page's Label part, as a visitor would. Each test returns what it saw, or throws. */
import type { Page } from 'playwright-core';
import { iou } from '../src/kernels/boxes.ts';
import { accessible } from './accessible.ts';
import { expectEqual, listedBoxes } from './browserSteps.ts';
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
    await labelAndTrain(page, expectEqual);
    await page.click('#accept-all');
    const found = await listedBoxes(page);
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

  'label: a box by keys alone, undone and done again, on a picture from the camera': async () => {
    const before = await page.locator('#pictures li').count();
    await page.click('#label-camera');
    await page.waitForSelector('#viewfinder:not([hidden])');
    await page.keyboard.press('Enter'); // Take picture has the focus
    await page.waitForFunction((count) => document.querySelectorAll('#pictures li').length === count, before + 1);
    await page.click('#close-camera');
    await page.uncheck('#propose'); // so that the list has nothing but boxes
    await page.focus('#surface');
    for (const key of ['n', 'ArrowLeft', 'Shift+ArrowDown', 'Alt+ArrowUp', '1']) await page.keyboard.press(key);
    const [box] = await listedBoxes(page);
    if (box?.shape !== 'disc') throw new Error(`the box is ${JSON.stringify(box)}`);
    await page.keyboard.press('Delete');
    expectEqual(await listedBoxes(page), []);
    await page.keyboard.press('Control+z');
    expectEqual(await listedBoxes(page), [box]);
    await page.keyboard.press('Control+z'); // its class
    await page.click('#previous'); // Undo leads back to the picture
    await page.focus('#surface');
    await page.keyboard.press('Control+z'); // where the arrows moved it
    if ((await page.locator('#pictures [aria-current]').getAttribute('aria-label'))?.startsWith(`Picture ${before},`))
      throw new Error('Undo changes a picture that is not shown');
    await page.keyboard.press('Control+z'); // all of it
    expectEqual(await listedBoxes(page), []);
    for (let i = 0; i < 3; i++) await page.keyboard.press('Control+Shift+z');
    expectEqual(await listedBoxes(page), [box]);
    await page.focus('#pictures [aria-current]');
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowDown']) await page.keyboard.press(key);
    const focused = await page.evaluate(() => [document.activeElement!.ariaCurrent, document.activeElement!.ariaLabel]);
    expectEqual([focused[0], focused[1]!.split(',')[0]], ['true', `Picture ${before}`]);
    return `${box.shape} of ${box.x2 - box.x1} x ${box.y2 - box.y1}`;
  },

  'label: paused and stopped, a training keeps what it learned': async () => {
    const steps = 77;
    await page.fill('#label-steps', String(steps));
    await page.click('#label-start');
    await page.waitForFunction(() => /^Step [1-9]/.test(document.querySelector('#label-figures')!.textContent!));
    await page.click('#label-start');
    await page.waitForSelector('#label-training:text("Paused.")');
    await page.click('#label-stop');
    await page.waitForSelector('#label-training:text("Stopped")');
    // The weights in the browser are those of this training, though it was too short for the copies that are made on the way.
    await page.waitForFunction(async (steps) => {
      const opening = indexedDB.open('webgpu-rcnn labels');
      await new Promise((resolve) => (opening.onsuccess = resolve));
      const reading = opening.result.transaction('run').objectStore('run').get('current');
      await new Promise((resolve) => (reading.onsuccess = resolve));
      opening.result.close();
      return JSON.parse(reading.result.config).training.steps === steps;
    }, steps);
    return (await page.textContent('#label-figures'))!;
  },

  'label: a reload loses nothing': async () => {
    const seen = () => page.locator('#pictures button').evaluateAll((all) => all.map(({ ariaLabel }) => ariaLabel));
    const before = await seen();
    await page.reload();
    await page.waitForSelector('#label-detect:enabled');
    expectEqual(await seen(), before);
    await page.click('#pictures li:first-child button');
    expectEqual(await listedBoxes(page), labelScene(0).objects);
    const popup = page.waitForEvent('popup');
    await page.evaluate(() => void window.open(location.href));
    const second = await popup;
    await second.waitForSelector('#not-kept:not([hidden])');
    const notKept = (await second.textContent('#not-kept'))!;
    if (!/^Another tab has the labels open/.test(notKept)) throw new Error(notKept);
    await second.close();
    return (await page.textContent('#label-network'))!;
  },

  'label: the network detects in another picture, and labels and ONNX are exported': async () => {
    const names: string[] = [];
    for (const button of ['#label-formats button:nth-child(3)', '#label-export']) {
      const download = page.waitForEvent('download');
      await page.click(button);
      names.push((await download).suggestedFilename());
    }
    expectEqual(names, ['labels-yolo.zip', 'detector.onnx']);
    // Of the pictures without labels, the one that the network is least sure about.
    const later = [labelScene(LABELLED + 2), labelScene(LABELLED + 3)];
    await add(page, later);
    await page.click('#pictures li:first-child button');
    await page.click('#unsure:enabled');
    await page.waitForFunction(
      (names) => names.includes(document.querySelector<HTMLElement>('#pictures [aria-current]')!.title),
      later.map(({ name }) => name),
    );
    await page.click('#label-detect');
    const { name, png } = labelScene(LABELLED + 1);
    await page.setInputFiles('#tools input', [{ name, mimeType: 'image/png', buffer: png }]);
    await page.waitForSelector('#found li');
    return (await page.locator('#found li').allTextContents()).join(', ');
  },

  'accessibility: nothing serious in any part, in light and in dark': async () => {
    let passed = 0;
    for (const part of ['train', 'label', 'detect', 'check']) {
      await page.click(`nav a[href="#${part}"]`);
      passed += await accessible(page);
    }
    return `${passed} rules passed`;
  },
});

/**
 * Labels twelve scenes by mouse and trains on them, until boxes are proposed in a thirteenth. `check` gets the boxes that the page
 * lists for each scene, and those that were drawn.
 */
export async function labelAndTrain(
  page: Page,
  check: (listed: LabelScene['objects'], drawn: LabelScene['objects']) => void,
): Promise<void> {
  await page.click('nav a[href="#label"]');
  await page.waitForFunction(() => /^Draw boxes/.test(document.querySelector('#label-training')!.textContent!));
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
      // A box that is selected would take its class from the next click on one.
      await page.keyboard.press('Escape');
    }
    check(await listedBoxes(page), scene.objects);
    await page.click('#next');
  }
  await page.fill('#label-steps', String(STEPS));
  await page.dblclick('#label-start'); // the second click must not begin another training
  await page.waitForFunction(() => /^Done/.test(document.querySelector('#label-training')!.textContent!));
  await add(page, [labelScene(LABELLED)]);
  await page.waitForSelector('#proposed:not([hidden])');
}

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

const corners = ({ x1, y1, x2, y2 }: Edges) => [x1, y1, x2, y2] as const;
