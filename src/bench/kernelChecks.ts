/**
 * Runs kernels alone, on fresh buffers, and holds what they write against their float64 references. `rcnn info` does so on
 * the user's adapter, the kernel tests on the software adapters: the same checks, the same tolerances.
 */
import type { Gpu, TypedArray } from '../engine/gpu.ts';
import type { KernelCheck } from '../kernels/checks/check.ts';
import { detectorChecks } from '../kernels/checks/detector.ts';
import { convWorkgroupChecks } from '../kernels/checks/conv2dWorkgroup.ts';
import { halfChecks } from '../kernels/checks/half.ts';
import { matmulChecks } from '../kernels/checks/matmul.ts';
import { nnChecks } from '../kernels/checks/nn.ts';
import { winogradChecks } from '../kernels/checks/winograd.ts';
import { specialValueChecks } from '../kernels/checks/specialValues.ts';
import { fromHalf, toHalf } from '../kernels/half.ts';
import type { Kernel } from '../kernels/kernel.ts';
import type { Capabilities } from '../kernels/machine.ts';

export interface CheckOutcome {
  name: string;
  passed: boolean;
  /** The largest |actual - expected| of any element. */
  largestError: number;
  /** The first elements beyond the tolerance, a line each; or the error that kept the kernel from running. */
  problems: string[];
  /** Milliseconds to compile its shader; 0 if an earlier check has compiled it. */
  compileMs: number;
}

/** The most lines that `problems` has. */
const LISTED = 10;

/** Every check for a device with these capabilities; `half` adds those for `shader-f16`. Building a check computes its reference. */
export const kernelChecks = (device: Capabilities, half = false): readonly (() => KernelCheck)[] => [
  ...matmulChecks(device),
  ...convWorkgroupChecks(device),
  ...winogradChecks,
  ...nnChecks,
  ...detectorChecks,
  ...specialValueChecks,
  ...(half ? halfChecks(device) : []),
];

/** Runs one kernel on fresh buffers and returns the contents of those it may write. */
export async function launch<B extends string, U extends string>(
  gpu: Gpu,
  kernel: Kernel<B, U>,
  contents: Record<B, TypedArray>,
  uniforms: Record<U, number>,
  half: readonly string[] = [],
): Promise<Record<B, TypedArray>> {
  const entries = Object.entries(contents) as [B, TypedArray][];
  const buffers = entries.map(([name, values]) => {
    const data = half.includes(name) ? asHalf(values) : values;
    const buffer = gpu.allocate(data.byteLength, `${kernel.name}.${name}`);
    if (data.byteLength > 0) gpu.write(buffer, data);
    return [name, buffer] as const;
  });
  gpu.run(kernel, Object.fromEntries(buffers) as never, uniforms);
  const results: Partial<Record<B, TypedArray>> = {};
  for (const [name, buffer] of buffers) {
    if (!kernel.buffers[name].includes('write')) continue;
    const data = contents[name];
    const bytes = await gpu.read(buffer, half.includes(name) ? asHalf(data).byteLength : data.byteLength);
    if (half.includes(name)) {
      results[name] = Float32Array.from(new Uint16Array(bytes).subarray(0, data.length), fromHalf);
      continue;
    }
    results[name] = new (data.constructor as new (bytes: ArrayBuffer) => TypedArray)(bytes);
  }
  for (const [, buffer] of buffers) gpu.release(buffer);
  return results as Record<B, TypedArray>;
}

/** Numbers in half precision, two to a word. */
function asHalf(values: TypedArray): Uint32Array {
  const words = new Uint32Array(Math.ceil(values.length / 2));
  new Uint16Array(words.buffer).set(Array.from(values, toHalf));
  return words;
}

/** A kernel that cannot run because its shader does not compile here counts as failed. */
export async function runKernelCheck(gpu: Gpu, check: KernelCheck): Promise<CheckOutcome> {
  const outcome: CheckOutcome = { name: check.name, passed: true, largestError: 0, problems: [], compileMs: 0 };
  let results: Record<string, TypedArray>;
  try {
    const { milliseconds } = await gpu.compile(() => gpu.run(check.kernel, {} as never, check.uniforms));
    outcome.compileMs = milliseconds;
    results = await launch(gpu, check.kernel, check.buffers, check.uniforms, check.half);
  } catch (error) {
    return { ...outcome, passed: false, largestError: NaN, problems: [(error as Error).message] };
  }
  for (const [buffer, expected] of Object.entries(check.expected)) {
    const { atol, rtol } = expected instanceof Float64Array ? check : { atol: 0, rtol: 0 };
    const actual = results[buffer]!;
    if (actual.length !== expected.length) throw new Error(`${check.name}: ${buffer} is expected with another length`);
    for (let i = 0; i < expected.length; i++) {
      const difference = Math.abs(actual[i]! - expected[i]!);
      const close = Number.isFinite(expected[i]) && difference <= atol + rtol * Math.abs(expected[i]!);
      if (close || Object.is(actual[i], expected[i])) {
        outcome.largestError = Math.max(outcome.largestError, difference || 0);
        continue;
      }
      outcome.passed = false;
      outcome.largestError = Math.max(outcome.largestError, difference);
      if (outcome.problems.length < LISTED) {
        outcome.problems.push(`${buffer}[${i}] is ${actual[i]}, expected ${expected[i]} (off by ${difference})`);
      }
    }
  }
  return outcome;
}
