/**
 * Bundles the browser's entry, src/index.ts, as a page would, and fails on anything that only Node has, and where a bundle of few or of
 * all exports has become larger than the README says.
 */
import { build, type Message } from 'esbuild';
import { gzipSync } from 'node:zlib';
import { fail, root } from './shell.ts';

const result = await build({
  absWorkingDir: root,
  entryPoints: ['src/index.ts'],
  bundle: true,
  platform: 'browser', // a Node built-in cannot be resolved
  format: 'esm',
  target: 'es2022',
  minify: true,
  treeShaking: false, // exports that nothing imports must bundle too
  write: false,
  logLevel: 'silent',
}).catch((error: { errors: Message[] }) =>
  fail(error.errors.map(({ text, location }) => `${location?.file}:${location?.line}: ${text}`).join('\n')),
);
const { text, contents } = result.outputFiles[0]!;
const globals = text.match(/\b(process\.(env|exit|argv|std)|require\(|__dirname|Buffer\.)/);
if (globals) fail(`the bundle of src/index.ts uses ${globals[0]}, which a browser does not have`);
const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`;
console.log(
  `bundle of src/index.ts for the browser: ${kib(contents.length)}, ${kib(gzipSync(contents).length)} gzipped`,
);

/** The most that a page loads, gzipped, in KiB: some 5 % above what the README says. */
const SHAKEN = [
  { what: 'convolution and SGD', code: 'export { conv2d, Gpu, Sgd }', most: 35 },
  { what: 'everything', code: 'export *', most: 250 },
];
for (const { what, code, most } of SHAKEN) {
  const shaken = await build({
    stdin: { contents: `${code} from './src/index.ts';`, resolveDir: root, loader: 'ts' },
    absWorkingDir: root,
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    minify: true,
    write: false,
  });
  const bytes = shaken.outputFiles[0]!.contents;
  const gzipped = gzipSync(bytes).length;
  console.log(`tree-shaken, ${what}: ${kib(bytes.length)}, ${kib(gzipped)} gzipped`);
  if (gzipped > most * 1024)
    fail(`${what} was at most ${most} KiB gzipped: see what it imports, or correct the README`);
}
