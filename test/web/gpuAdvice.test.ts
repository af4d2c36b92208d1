/** What the page says where there is no GPU, for the browsers and systems that people have. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gpuAdvice, type NoGpu } from '../../web/gpuAdvice.ts';

const chrome = (system: string): string =>
  `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36`;
const firefox = (system: string): string => `Mozilla/5.0 (${system}; rv:140.0) Gecko/20100101 Firefox/140.0`;

const CASES: readonly [userAgent: string, why: NoGpu, advice: RegExp][] = [
  [
    chrome('X11; Linux x86_64'),
    'missing',
    /has no WebGPU: open chrome:\/\/flags\/#enable-unsafe-webgpu.*restart Chrome\.$/,
  ],
  [chrome('X11; Linux x86_64'), 'adapter', /offers no GPU: .*#enable-vulkan.*chrome:\/\/gpu/],
  [chrome('Windows NT 10.0; Win64; x64'), 'missing', /update Chrome to version 113/],
  [`${chrome('Windows NT 10.0; Win64; x64')} Edg/140.0.0.0`, 'adapter', /edge:\/\/settings\/system, update/],
  [chrome('Linux; Android 10; K'), 'missing', /version 121.*Android 12/],
  [firefox('Windows NT 10.0; Win64; x64'), 'missing', /update Firefox.*141/],
  [firefox('X11; Linux x86_64'), 'missing', /about:config.*dom\.webgpu\.enabled/],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
    'missing',
    /macOS 26.*Feature Flags/,
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1',
    'missing',
    /update to iOS 26/,
  ],
  ['Lynx/2.9', 'missing', /use a current Chrome/],
  [chrome('X11; Linux x86_64'), 'insecure', /^WebGPU needs a secure page/],
];

for (const [userAgent, why, advice] of CASES) {
  test(`${why}: ${userAgent}`, () => {
    const text = gpuAdvice(userAgent, why);
    assert.match(text, advice);
    assert.not(text.includes('\n'));
  });
}

test.run();
