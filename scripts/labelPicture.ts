/**
 * Makes docs/label.jpg, the picture of the page's Label part: labels and trains as the browser test does, and leaves the boxes
 * that are then proposed in another picture.
 *
 *   npx tsx scripts/labelPicture.ts
 */
import * as path from 'node:path';
import { buildWeb } from './buildWeb.ts';
import { launchChromium, temporaryFolder } from './chromium.ts';
import { labelAndTrain } from './labelTests.ts';
import { fileServer, listen } from './serve.ts';
import { root } from './shell.ts';

const site = path.join(temporaryFolder, 'site');
await buildWeb(site);
const server = fileServer(site);
const port = await listen(server, 0, true);
const browser = await launchChromium();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(600_000);
  await page.goto(`http://localhost:${port}/`);
  await labelAndTrain(page, () => {});
  await page.locator('#label .intro').evaluate((intro) => intro.remove()); // the picture is about what follows
  await page.screenshot({ path: path.join(root, 'docs', 'label.jpg'), type: 'jpeg', quality: 85, fullPage: true });
} finally {
  await browser.close();
  server.close();
}
