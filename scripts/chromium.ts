/** Headless Chromium for tests: the one in the npm package @sparticuz/chromium, with WebGPU on its SwiftShader, or another. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/** Removed at the end of the process. */
export const temporaryFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-browser-'));
process.once('exit', () => fs.rmSync(temporaryFolder, { recursive: true, force: true, maxRetries: 3 }));
process.env['TMPDIR'] = temporaryFolder; // the browser is unpacked there and keeps its profile there

/** @param executablePath another Chromium, which then uses the adapter that it offers */
export async function launchChromium(executablePath?: string, { webgpu = true } = {}): Promise<Browser> {
  // A camera that shows a test picture, which every page may use.
  const args: string[] = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
  // Without this flag Chromium has no WebGPU on Linux or on a software adapter.
  if (webgpu) args.push('--enable-unsafe-webgpu');
  if (executablePath === undefined) {
    if (webgpu) args.push('--use-webgpu-adapter=swiftshader');
    // The package unpacks the libraries that a bare Linux lacks only if it believes it runs on AWS Lambda.
    process.env['AWS_LAMBDA_JS_RUNTIME'] = 'nodejs20.x';
    executablePath = await (await import('@sparticuz/chromium')).default.executablePath();
    // It looks for its fonts in /tmp only, and crashes on a text field if it has none.
    const fonts = path.join(temporaryFolder, 'fonts', 'fonts.conf');
    const paths = fs.readFileSync(fonts, 'utf8');
    if (!paths.includes(temporaryFolder)) fs.writeFileSync(fonts, paths.replaceAll('/tmp/', `${temporaryFolder}/`));
  } else if (webgpu) {
    args.push('--enable-features=Vulkan'); // how Chromium reaches a GPU on Linux
  }
  return chromium.launch({ executablePath, args, timeout: 60_000 });
}
