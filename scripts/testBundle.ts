/**
 * Bundles the browser's entry, src/index.ts, as a page would. Fails on anything that only Node has, and if the README is wrong about
 * the size of a bundle.
 */
import { build, type Message } from 'esbuild';
import * as fs from 'node:fs';
import * as path from 'node:path';
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
// fast-xml-parser asks whether there is a Buffer before it uses one, so a browser never comes to that.
const guarded = /typeof Buffer<"u"&&Buffer\.isBuffer\(/g;
const globals = text.replace(guarded, '').match(/\b(process\.(env|exit|argv|std)|require\(|__dirname|Buffer\.)/);
if (globals) fail(`the bundle of src/index.ts uses ${globals[0]}, which a browser does not have`);
const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`;
console.log(
  `bundle of src/index.ts for the browser: ${kib(contents.length)}, ${kib(gzipSync(contents).length)} gzipped`,
);

const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
const said = /convolution and SGD bundle to (\d+) KiB gzipped and everything to (\d+) KiB/.exec(readme);
if (!said) fail('the README does not say how large the bundles are');
/** The README may be wrong by this share. */
const TOLERANCE = 0.05;
const SHAKEN = [
  { what: 'convolution and SGD', code: 'export { conv2d, Gpu, Sgd }', documented: Number(said[1]) },
  { what: 'everything', code: 'export *', documented: Number(said[2]) },
];
for (const { what, code, documented } of SHAKEN) {
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
  if (Math.abs(gzipped / 1024 / documented - 1) > TOLERANCE) {
    fail(
      `${what} is ${kib(gzipped)} gzipped, and the README says ${documented} KiB: see what it imports, or correct the README`,
    );
  }
}
