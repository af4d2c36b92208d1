/**
 * Tests the static site of `npm run docs`: it is made without a warning, every link within it leads to a file and a place that exist,
 * and pages load nothing from elsewhere.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fail, root, run } from './shell.ts';

const site = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-site-'));
try {
  const options = ['--options', 'tools/typedoc.json', '--out', site, '--treatWarningsAsErrors'];
  run(root, 'npx', 'tsx', 'scripts/tools.ts', 'typedoc', ...options);
  const files = fs.readdirSync(site, { recursive: true, encoding: 'utf8' });
  const pages = new Map(
    files
      .filter((file) => file.endsWith('.html'))
      .map((file) => [file.replaceAll(path.sep, '/'), read(fs.readFileSync(path.join(site, file), 'utf8'))] as const),
  );
  const problems = new Set<string>();
  let links = 0;
  for (const [page, { hrefs, loads }] of pages) {
    for (const file of loads) if (/^(https?:)?\/\//.test(file)) problems.add(`${page} loads ${file}`);
    for (const href of [...hrefs, ...loads]) {
      if (/^[a-z]+:|^\/\//i.test(href)) continue;
      links++;
      const [file = '', place] = href.split('#').map(decodeURIComponent);
      const target = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
      if (!fs.existsSync(path.join(site, target))) problems.add(`${page}: ${href} leads to no file`);
      else if (place && pages.get(target)?.ids.has(place) === false) problems.add(`${page}: ${href} leads to no place`);
    }
  }
  if (problems.size > 0) fail([...problems].sort().join('\n'));
  if (links < pages.size) fail(`the pages have ${links} links in all: were they read?`);
  console.log(`${pages.size} pages, ${links} links within the site, all of which lead somewhere`);
} finally {
  fs.rmSync(site, { recursive: true, force: true });
}

/** The links of a page, the files that it loads, and the places that a link can lead to. */
function read(html: string): { hrefs: string[]; loads: string[]; ids: Set<string> } {
  const all = (pattern: RegExp): string[] => [...html.matchAll(pattern)].map(([, value]) => unescaped(value!));
  return {
    hrefs: all(/<a\b[^>]*?\shref="([^"]*)"/g),
    loads: [...all(/<(?:script|img|iframe)\b[^>]*?\ssrc="([^"]*)"/g), ...all(/<link\b[^>]*?\shref="([^"]*)"/g)],
    ids: new Set(all(/\sid="([^"]*)"/g)),
  };
}

function unescaped(text: string): string {
  const characters: Record<string, string> = { amp: '&', quot: '"', lt: '<', gt: '>', '#39': "'" };
  return text.replace(/&(amp|quot|lt|gt|#39);/g, (_, name: string) => characters[name]!);
}
