/** The checks that `rcnn info` runs: every kernel has one, and they find a kernel that is wrong. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelChecks, runKernelCheck } from '../../src/bench/kernelChecks.ts';
import { sharedGpu } from '../harness.ts';
import { device } from '../kernels/tiles.ts';

test('every kernel in src/kernels has a check that `rcnn info` runs', () => {
  const folder = fileURLToPath(new URL('../../src/kernels', import.meta.url));
  const specs = readdirSync(folder)
    .filter((file) => file.endsWith('.ts') && file !== 'kernel.ts')
    // Of `kernel({ name: ... })` and of what the shorthands for it take: anything with a literal in it.
    .flatMap((file) => [...readFileSync(join(folder, file), 'utf8').matchAll(/^\s+name: ([^\n]*['`][^\n]*),$/gm)])
    .map(([, name]) => name!);
  assert.ok(specs.length > 40, `${specs.length} kernels found`);
  const checked = new Set(kernelChecks(device(0)).map((build) => build().kernel.name));
  const unchecked = specs.filter((spec) => {
    // A literal, a template with holes, or a choice of literals: every literal in it must be the name of a checked kernel.
    const literals = [...spec.matchAll(/'([^']+)'|`([^`]+)`/g)].map(([, plain, template]) => (plain ?? template)!);
    const isChecked = (literal: string) => {
      const pattern = new RegExp(`^${literal.replace(/\$\{[^}]*\}/g, '\\w*')}$`);
      return [...checked].some((name) => pattern.test(name));
    };
    return !literals.every(isChecked);
  });
  assert.equal(unchecked, []);
});

test('a kernel that computes something else, or does not compile, is found', async () => {
  const gpu = await sharedGpu();
  const check = kernelChecks(device(0))
    .map((build) => build())
    .find(({ kernel }) => kernel.name === 'add_2')!;
  assert.ok((await runKernelCheck(gpu, check)).passed);
  const [name, expected] = Object.entries(check.expected)[0]!;
  const wrong = expected.slice();
  wrong[17]! += 0.5;
  const outcome = await runKernelCheck(gpu, { ...check, expected: { [name]: wrong } });
  assert.not(outcome.passed);
  assert.ok(Math.abs(outcome.largestError - 0.5) < 1e-3);
  assert.is(outcome.problems.length, 1);
  assert.match(outcome.problems[0]!, new RegExp(`^${name}\\[17\\] is `));
});

test.run();
