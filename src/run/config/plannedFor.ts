/**
 * Which kernels compute the network of a run: those that the tuner chose, or those that the planner chooses for the capabilities
 * recorded in the run's configuration (`--deterministic`). Either way they stay the same when the run is resumed or loaded.
 */
import * as z from 'zod';
import { type Capabilities, serves, withDefaultLimits } from '../../kernels/machine.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { Plans } from '../../engine/plans.ts';
import { count, setting, step } from '../../model/config.ts';

const positive = z.number().positive();

const machine = z.strictObject({
  kind: setting(z.string(), 'its name'),
  lanes: setting(count, 'lanes of a subgroup'),
  cores: setting(count, 'number of cores; a core is what shares one workgroup memory'),
  multiplyAdds: setting(count, 'multiply-adds of a core per cycle'),
  registers: setting(count, '32-bit registers of a core'),
  registersEach: setting(count, 'registers of an invocation at most'),
  workgroupMemory: setting(count, 'bytes of workgroup memory of a core'),
  workgroupBytesPerCycle: setting(positive, 'bytes per cycle that workgroup memory delivers'),
  invocations: setting(count, 'invocations of a core at most'),
  cacheBytesPerCycle: setting(positive, 'bytes per cycle of the shared cache'),
  memoryBytesPerCycle: setting(positive, 'bytes per cycle of memory'),
  gigahertz: setting(positive, 'clock'),
});

export const plannedForSchema: z.ZodType<Capabilities> = z.strictObject({
  subgroupSize: setting(step, 'lanes of a subgroup to rely on, 0 for none'),
  software: setting(z.boolean(), 'whether the CPU computes'),
  maxBindingBytes: setting(count, 'bytes of the largest buffer that a shader can bind'),
  workgroupMemory: setting(count, 'bytes of workgroup memory of a workgroup at most'),
  workgroupInvocations: setting(count, 'invocations of a workgroup at most'),
  machine: setting(machine, 'what a GPU is assumed to be'),
});

/** The part of a run's configuration that decides which kernels are used. */
export interface RunKernels {
  plannedFor?: Capabilities | undefined;
  kernels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Gives a model the plans of its run. A device that cannot run kernels planned for another one plans for itself, and false is
 * returned: its bits would differ anyway.
 */
export function usePlansOf({ plannedFor, kernels }: RunKernels, plans: Plans): boolean {
  const served = !plannedFor || serves(plans.device, plannedFor);
  if (plannedFor && served) plans.planFor(plannedFor);
  plans.use(kernels ?? {});
  return served;
}

/** The configuration of a run whose kernels are planned for this device with default limits (`--deterministic`). */
export const withPlannedKernels = <C extends RunKernels>(config: C, gpu: Gpu): C => ({
  ...config,
  plannedFor: withDefaultLimits(gpu.plans.device),
});
