/** What a visitor whose browser offers no GPU can do about it, by browser and system. */

/** Why there is none: the page is not secure, the browser has no WebGPU or has it switched off, or it finds no GPU. */
export type NoGpu = 'insecure' | 'missing' | 'adapter';

/** Undefined if there is a GPU, so that something else is wrong. */
export async function whyNoGpu(): Promise<NoGpu | undefined> {
  if (!isSecureContext) return 'insecure';
  if (!('gpu' in navigator)) return 'missing';
  return (await navigator.gpu.requestAdapter()) ? undefined : 'adapter';
}

/** A sentence on what is wrong, and one on what to do in the browser that `userAgent` names. */
export function gpuAdvice(userAgent: string, why: NoGpu): string {
  if (why === 'insecure') return 'WebGPU needs a secure page: open this one over https, or from localhost.';
  const browser = browserOf(userAgent);
  const problem = why === 'missing' ? 'this browser has no WebGPU' : 'this browser offers no GPU';
  return `${problem}: ${why === 'missing' ? withoutWebGpu(browser, systemOf(userAgent)) : withoutAdapter(browser, systemOf(userAgent))}`;
}

type BrowserName = 'Chrome' | 'Edge' | 'Firefox' | 'Safari' | 'other';
type SystemName = 'Windows' | 'macOS' | 'iOS' | 'Android' | 'Linux' | 'other';

function browserOf(userAgent: string): BrowserName {
  if (/Firefox\//.test(userAgent)) return 'Firefox';
  if (/Edg(A|iOS)?\//.test(userAgent)) return 'Edge';
  if (/(Chrome|Chromium|CriOS)\//.test(userAgent)) return 'Chrome'; // and its relatives
  return /Safari\//.test(userAgent) ? 'Safari' : 'other';
}

function systemOf(userAgent: string): SystemName {
  if (/iPhone|iPad/.test(userAgent)) return 'iOS';
  if (/Android/.test(userAgent)) return 'Android';
  if (/Windows/.test(userAgent)) return 'Windows';
  if (/Mac OS X/.test(userAgent)) return 'macOS';
  return /Linux|CrOS/.test(userAgent) ? 'Linux' : 'other';
}

/** The page of switches that a relative of Chrome has. */
const flags = (browser: BrowserName): string => (browser === 'Edge' ? 'edge://flags' : 'chrome://flags');

function withoutWebGpu(browser: BrowserName, system: SystemName): string {
  // On iOS, every browser is Safari within.
  if (system === 'iOS') return 'update to iOS 26 or later, whose browsers have it.';
  if (browser === 'Safari') {
    return 'update to macOS 26, whose Safari has it; in Safari 18, switch on WebGPU in Develop > Feature Flags; or use Chrome or Edge.';
  }
  if (browser === 'Firefox') {
    return system === 'Windows' || system === 'macOS'
      ? 'update Firefox (it has WebGPU on Windows since version 141, on Macs with Apple silicon since 145), or use Chrome or Edge.'
      : 'open about:config, set dom.webgpu.enabled to true and restart Firefox, or use Chrome.';
  }
  if (browser === 'other') return 'use a current Chrome, Edge, Firefox or Safari.';
  if (system === 'Linux') {
    return `open ${flags(browser)}/#enable-unsafe-webgpu, choose Enabled, do the same for ${flags(browser)}/#enable-vulkan, and restart ${browser}.`;
  }
  return system === 'Android'
    ? `update ${browser} to version 121 or later, on Android 12 or later.`
    : `update ${browser} to version 113 or later.`;
}

function withoutAdapter(browser: BrowserName, system: SystemName): string {
  if (browser === 'Chrome' || browser === 'Edge') {
    const settings = browser === 'Edge' ? 'edge' : 'chrome';
    const linux = system === 'Linux' ? `, enable ${flags(browser)}/#enable-vulkan` : '';
    return `switch on graphics acceleration in ${settings}://settings/system${linux}, update the graphics driver, and restart ${browser}; ${settings}://gpu says what is missing.`;
  }
  return 'update the system and the graphics driver, and restart the browser, or try Chrome.';
}
