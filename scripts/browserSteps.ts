/** Steps that the tests of the page share. */
import type { CDPSession, Page } from 'playwright-core';
import type { LabelScene } from './labelScenes.ts';

/** The boxes in the picture that is shown, as the Label part lists them. */
export async function listedBoxes(page: Page): Promise<LabelScene['objects']> {
  const lines = await page.locator('#boxes .name').allTextContents();
  return lines.map((line) => {
    const [, shape, x, y, width, height] = /^(\S+) (\d+), (\d+), (\d+) × (\d+)$/.exec(line) ?? [];
    if (shape === undefined) throw new Error(`not a box: ${line}`);
    const [x1, y1] = [Number(x), Number(y)];
    return { shape: shape as 'disc', x1, y1, x2: x1 + Number(width), y2: y1 + Number(height) };
  });
}

/** Drags files from outside to a point of the page and drops them there. */
export async function drop(devtools: CDPSession, { x, y }: { x: number; y: number }, files: string[]): Promise<void> {
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await devtools.send('Input.dispatchDragEvent', { type, x, y, data: { items: [], files, dragOperationsMask: 1 } });
  }
}

export function expectEqual(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}
