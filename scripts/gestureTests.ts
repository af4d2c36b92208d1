/** What testBrowser.ts does in the Label part with a pen, fingers, dropped files and many pictures. Each test returns what it saw. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { CDPSession, Page } from 'playwright-core';
import sharp from 'sharp';
import { boxBetween, fittingView, panned, type Point, toPicture, type View, zoomed } from '../web/label/geometry.ts';
import { drop, expectEqual, listedBoxes } from './browserSteps.ts';
import { labelScene } from './labelScenes.ts';

const SCENES = [labelScene(0), labelScene(1)] as const;
const DESKTOP = { width: 1280, height: 900 };

const MANY = 60;
/**
 * Far above what a quiet machine needs, since two cores compute this page, its pictures and the test, without a GPU: a frame every
 * 50 ms still follows a hand, and after a second one doubts that a click was seen.
 */
const MOST_MS = { medianFrame: 50, longestTask: 1000 };

/** @param page a phone's, empty, with touch; @param folder for files */
export const gestureTests = (page: Page, folder: string): Readonly<Record<string, () => Promise<string>>> => ({
  'label: pictures and an exported data set that are dropped on the page': async () => {
    await page.click('nav a[href="#label"]');
    await page.waitForSelector('#label-formats button'); // the part is loaded after the page
    const files = SCENES.map(({ name, png }) => write(folder, name, png));
    const devtools = await page.context().newCDPSession(page);
    await drop(devtools, { x: 200, y: 400 }, files);
    await count(page, SCENES.length);
    await draw(page, devtools, 'mouse', { x: 0.2, y: 0.2 }, { x: 0.5, y: 0.6 });
    const boxes = await listedBoxes(page);
    const formats = ['coco', 'voc', 'yolo'];
    const zips: string[] = [];
    for (const [i, format] of formats.entries()) {
      const download = page.waitForEvent('download');
      await page.click(`#label-formats button:nth-child(${i + 1})`);
      zips.push(path.join(folder, `${format}.zip`));
      await (await download).saveAs(zips[i]!);
    }
    for (const [i, zip] of zips.entries()) {
      await drop(devtools, { x: 200, y: 400 }, [zip]);
      await count(page, SCENES.length + i + 1);
      await page.click('#pictures li:last-child button');
      expectEqual(await listedBoxes(page), boxes);
    }
    for (const _ of formats) await page.click('#undo'); // each data set is one edit
    await count(page, SCENES.length);
    return `${SCENES.length} pictures, and ${formats.join(', ')} again`;
  },

  'label: a finger draws, two fingers zoom and move, a pen draws': async () => {
    const devtools = await page.context().newCDPSession(page);
    await page.evaluate(() => {
      const seen: string[] = ((globalThis as unknown as { pointers: string[] }).pointers = []);
      document.querySelector('#surface')!.addEventListener('pointerdown', (event) => {
        seen.push((event as PointerEvent).pointerType);
      });
    });
    await page.click('#pictures li:nth-child(2) button');
    const surface = await surfaceOf(page);
    const picture = SCENES[1]!;
    let view = fittingView(picture, surface);
    const [a, b] = [at(surface, 0.3, 0.4), at(surface, 0.6, 0.7)] as const;
    const wanted: object[] = [];
    const expectBox = async (): Promise<void> => {
      const { x1, y1, x2, y2 } = boxBetween(toPicture(view, a), toPicture(view, b), picture);
      wanted.push({ x1, y1, x2, y2 });
      const found = (await listedBoxes(page)).map(({ x1, y1, x2, y2 }) => ({ x1, y1, x2, y2 }));
      expectEqual(found, wanted);
    };
    const drawTouching = async (): Promise<void> => {
      await touch(devtools, surface, [[a], [middle(a, b)], [b]]);
      await page.keyboard.press('Escape');
    };
    await drawTouching();
    await expectBox();

    // Two fingers that move apart, then both to the side.
    const before = [at(surface, 0.4, 0.5), at(surface, 0.6, 0.5)] as const;
    const apart = [at(surface, 0.25, 0.5), at(surface, 0.75, 0.5)] as const;
    const aside = apart.map(({ x, y }) => ({ x: x + 20, y: y - 12 })) as [Point, Point];
    await touch(devtools, surface, [[before[0]], before, apart, aside]);
    view = pinched(pinched(view, before, apart, picture, surface), apart, aside, picture, surface);
    if (!(view.scale > 2 * fittingView(picture, surface).scale)) throw new Error('the picture is not larger');
    await drawTouching();
    await expectBox();

    await draw(page, devtools, 'pen', { x: 0.3, y: 0.4 }, { x: 0.6, y: 0.7 });
    await expectBox();
    await page.click('#zoom-fit');
    const pointers = await page.evaluate(() => (globalThis as unknown as { pointers: string[] }).pointers);
    expectEqual(pointers, ['touch', 'touch', 'touch', 'touch', 'pen']);
    return `${wanted.length} boxes at ${view.scale.toFixed(1)} times the size`;
  },

  'label: sixty pictures of 1000 pixels stay fluid': async () => {
    await page.setViewportSize(DESKTOP);
    const before = await page.locator('#pictures li').count();
    const noise = { type: 'gaussian', mean: 128, sigma: 30 } as const;
    const picture = sharp({ create: { width: 1000, height: 750, channels: 3, background: '#000', noise } });
    const jpeg = await picture.jpeg({ quality: 80 }).toBuffer();
    const files = Array.from({ length: MANY }, (_, i) => write(folder, `many-${i}.jpg`, jpeg));
    await page.evaluate(() => {
      const seen = {
        ...{ frames: [] as number[], tasks: [0], last: performance.now() },
        // A method, since the name that a compiler gives to a function in a constant is not known in the page.
        frame(now: number) {
          seen.frames.push(now - seen.last);
          seen.last = now;
          requestAnimationFrame((next) => seen.frame(next));
        },
      };
      Object.assign(globalThis, { seen });
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) seen.tasks.push(duration);
      }).observe({ type: 'longtask' });
      requestAnimationFrame((now) => seen.frame(now));
    });
    await page.setInputFiles('#label-files', files);
    await count(page, before + MANY);
    const devtools = await page.context().newCDPSession(page);
    await page.click(`#pictures li:nth-child(${before + 1}) button`);
    for (let i = 0; i < MANY; i++) {
      await draw(page, devtools, 'mouse', { x: 0.3, y: 0.3 }, { x: 0.6, y: 0.6 });
      await page.keyboard.press('PageDown');
    }
    const { frames, tasks } = await page.evaluate(() => {
      const { frames, tasks } = (globalThis as unknown as { seen: { frames: number[]; tasks: number[] } }).seen;
      return { frames, tasks };
    });
    const labelled = await page.locator('#pictures button[aria-label$=": 1 box"]').count();
    if (labelled < MANY) throw new Error(`${labelled} of ${MANY} pictures have their box`);
    const medianFrame = frames.sort((one, other) => one - other)[frames.length >> 1]!;
    const longestTask = Math.max(...tasks);
    const figures = `a frame every ${medianFrame.toFixed(0)} ms, the longest task ${longestTask.toFixed(0)} ms`;
    if (medianFrame > MOST_MS.medianFrame || longestTask > MOST_MS.longestTask)
      throw new Error(`${figures}; at most ${MOST_MS.medianFrame} and ${MOST_MS.longestTask} ms`);
    return `${figures}, over ${frames.length} frames`;
  },
});

interface Surface {
  x: number;
  y: number;
  width: number;
  height: number;
}

function write(folder: string, name: string, content: Buffer): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  return file;
}

const count = (page: Page, wanted: number): Promise<unknown> =>
  page.waitForFunction((wanted) => document.querySelectorAll('#pictures li').length === wanted, wanted);

async function surfaceOf(page: Page): Promise<Surface> {
  await page.locator('#surface').scrollIntoViewIfNeeded();
  return (await page.locator('#surface').boundingBox())!;
}

/** A point of the surface, from shares of its sides. */
const at = ({ width, height }: Surface, x: number, y: number): Point => ({
  x: Math.round(x * width),
  y: Math.round(y * height),
});

const middle = (a: Point, b: Point): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

/** The view after two fingers went from one place to another: what lay between them still does. */
function pinched(
  view: View,
  from: readonly [Point, Point],
  to: readonly [Point, Point],
  picture: { width: number; height: number },
  surface: Surface,
): View {
  const distance = ([a, b]: readonly [Point, Point]): number => Math.hypot(a.x - b.x, a.y - b.y);
  const [before, after] = [middle(...from), middle(...to)];
  const closer = zoomed(view, distance(to) / distance(from), before, picture, surface);
  return panned(closer, after.x - before.x, after.y - before.y, picture, surface);
}

/** Puts fingers on the surface, moves them, and lifts them: where each finger is, at one time after the other. */
async function touch(devtools: CDPSession, { x, y }: Surface, times: readonly (readonly Point[])[]): Promise<void> {
  let fingers = 0;
  for (const points of times) {
    await devtools.send('Input.dispatchTouchEvent', {
      type: points.length > fingers ? 'touchStart' : 'touchMove',
      touchPoints: points.map((point, id) => ({ x: x + point.x, y: y + point.y, id })),
    });
    fingers = points.length;
  }
  await devtools.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
}

/** Draws a box between two points of the surface, given as shares of its sides. */
async function draw(
  page: Page,
  devtools: CDPSession,
  pointerType: 'mouse' | 'pen',
  from: Point,
  to: Point,
): Promise<void> {
  const surface = await surfaceOf(page);
  const [a, b] = [from, to].map(({ x, y }) => at(surface, x, y)) as [Point, Point];
  const send = (type: 'mousePressed' | 'mouseMoved' | 'mouseReleased', { x, y }: Point) =>
    devtools.send('Input.dispatchMouseEvent', {
      ...{ type, x: surface.x + x, y: surface.y + y, pointerType },
      ...{ button: 'left', buttons: type === 'mouseReleased' ? 0 : 1, clickCount: 1 },
    });
  await send('mousePressed', a);
  await send('mouseMoved', middle(a, b));
  await send('mouseMoved', b);
  await send('mouseReleased', b);
  await page.keyboard.press('Escape'); // a box that is selected would be moved by the next
}
