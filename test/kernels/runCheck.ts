/** Runs a kernel check on the shared device and compares what the kernel wrote with the check's reference. */
import { test } from 'uvu';
import type { KernelCheck } from '../../src/kernels/checks/check.ts';
import { expectClose, launch, sharedGpu } from '../harness.ts';

export async function runCheck(check: KernelCheck): Promise<void> {
  const results = await launch(await sharedGpu(), check.kernel, check.buffers, check.uniforms);
  for (const [name, expected] of Object.entries(check.expected)) {
    const exact = !(expected instanceof Float64Array);
    expectClose(results[name]!, expected, {
      atol: exact ? 0 : check.atol,
      rtol: exact ? 0 : check.rtol,
      what: `${check.name}, ${name}`,
    });
  }
}

/** One uvu test a check. */
export function testChecks(checks: readonly KernelCheck[]): void {
  for (const check of checks) test(check.name, () => runCheck(check));
}
