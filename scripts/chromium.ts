/** Headless Chromium for tests: that of the npm package @sparticuz/chromium, with WebGPU on its SwiftShader, or another. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/** Removed at the end of the process. */
export const temporaryFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-browser-'));
process.once('exit', () => fs.rmSync(temporaryFolder, { recursive: true, force: true, maxRetries: 3 }));
process.env['TMPDIR'] = temporaryFolder; // there the browser is unpacked, and has its profile

/** @param executablePath another Chromium, on the adapter that it offers */
export async function launchChromium(executablePath?: string, { webgpu = true } = {}): Promise<Browser> {
  const args: string[] = [];
  // Without this flag Chromium has no WebGPU on Linux, nor on a software adapter.
  if (webgpu) args.push('--enable-unsafe-webgpu');
  if (executablePath === undefined) {
    if (webgpu) args.push('--use-webgpu-adapter=swiftshader');
    // The package unpacks the libraries that a bare Linux lacks only where it takes itself to be on Amazon's.
    process.env['AWS_LAMBDA_JS_RUNTIME'] = 'nodejs20.x';
    executablePath = await (await import('@sparticuz/chromium')).default.executablePath();
    // Its fonts are looked for in /tmp alone, and without any a text field brings it down.
    const fonts = path.join(temporaryFolder, 'fonts', 'fonts.conf');
    const paths = fs.readFileSync(fonts, 'utf8');
    if (!paths.includes(temporaryFolder)) fs.writeFileSync(fonts, paths.replaceAll('/tmp/', `${temporaryFolder}/`));
  } else if (webgpu) {
    args.push('--enable-features=Vulkan'); // how Chromium reaches a GPU on Linux
  }
  return chromium.launch({ executablePath, args, timeout: 60_000 });
}
