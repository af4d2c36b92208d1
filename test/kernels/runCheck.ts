/** Kernel checks as tests: the same code as `rcnn info` runs on the user's adapter. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KernelCheck } from '../../src/kernels/checks/check.ts';
import { runKernelCheck } from '../../src/bench/kernelChecks.ts';
import { sharedGpu } from '../harness.ts';

export async function runCheck(check: KernelCheck): Promise<void> {
  const { passed, problems } = await runKernelCheck(await sharedGpu(), check);
  assert.ok(passed, [check.name, ...problems].join('\n  '));
}

/** One uvu test a check. */
export function testChecks(checks: readonly KernelCheck[]): void {
  for (const check of checks) test(check.name, () => runCheck(check));
}
