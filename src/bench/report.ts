/**
 * The report of `rcnn bench --json`: its form, which docs/bench.schema.json describes for others, and reading one back.
 * What an earlier version did not write is optional.
 */
import * as z from 'zod';
import { readJsonFile } from '../data/jsonFile.ts';

const amount = z.number().nonnegative();
const measured = amount.nullable();

const system = z.object({
  version: z.string().describe('of webgpu-rcnn'),
  date: z.iso.datetime(),
  node: z.string(),
  dawn: z.string().nullable().describe("version of the npm package 'webgpu', if that is the WebGPU used"),
  platform: z.string().describe("such as 'linux-x64'"),
  os: z.string().describe('name and release of the operating system'),
  cpu: z.string(),
  cores: z.int().positive(),
  memory_gb: amount,
  adapter: z
    .object({ vendor: z.string(), architecture: z.string(), device: z.string(), description: z.string() })
    .describe("WebGPU's GPUAdapterInfo; the description holds the driver's name and version where WebGPU gives them"),
  features: z.array(z.string()),
  nvidia: z
    .array(
      z.object({
        name: z.string(),
        driver: z.string(),
        sm_mhz: measured,
        memory_mhz: measured,
        temperature_c: z.number().nullable(),
        power_w: measured,
      }),
    )
    .nullable()
    .describe('what nvidia-smi said before the first row, a GPU each; null where it is not installed'),
});

const profile = z.object({
  record_ms: amount.describe('recording and submitting a run in JavaScript and in the WebGPU implementation'),
  wall_ms: amount.describe('from the first recorded dispatch until the device is done'),
  dispatches: z.int().nonnegative(),
  busy_ms: amount.describe('the sum of all dispatches, each in a pass of its own'),
  gaps_ms: amount.describe('between the end of a dispatch and the beginning of the next, each in a pass of its own'),
  kernels: z.array(
    z.object({
      name: z.string(),
      dispatches: z.int().positive(),
      milliseconds: amount,
      flops: amount.describe('of products and convolutions; 0 for other kernels'),
      bytes: amount.describe('of the buffers that it binds, once a dispatch'),
      bound_ms: amount.describe('the least time that the peaks allow for these'),
    }),
  ),
});

const row = z.object({
  group: z.string(),
  op: z.string(),
  shape: z.string(),
  valid: z.boolean().describe('the result was right; else nothing was timed'),
  compared: z.int().nonnegative().describe('elements compared with float64'),
  largest_error: measured.describe("the largest error relative to the sum of the terms' absolute values"),
  problems: z.array(z.string()),
  first_ms: measured.describe('the first run, with compilation of the kernels that no earlier row used'),
  median_ms: measured,
  best_ms: measured,
  repetitions: z.int().nonnegative(),
  gflops: measured.describe('operations of the direct algorithm in the best time, in 10^9 a second'),
  gbps: measured.describe('bytes that must be moved at least once, in the best time, in 10^9 a second'),
  share_of_peak: measured.describe('of the multiply-add peak, or of the copy peak for rows without operations'),
  bytes: measured.optional().describe('read or written at least once'),
  intensity: measured.optional().describe('operations a byte'),
  bound: z.enum(['compute', 'memory']).nullable().optional().describe('which peak limits this row on the roofline'),
  bound_ms: measured.optional().describe('the least time that the peaks allow the direct algorithm'),
  share_of_bound: measured.optional().describe("bound_ms / best_ms; Winograd's form can exceed 1"),
  tuned_ms: measured.optional().describe('best time after the tuner has chosen the kernels (--tune)'),
  tuning_ms: measured.optional().describe('what the tuner took for this row'),
  profile: profile.nullable().optional().describe('where the time goes (--profile); null without timestamp queries'),
  extras: z.record(z.string(), amount).optional().describe('other times in milliseconds, by name'),
});

export const benchReportSchema = z.object({
  adapter: z.string(),
  software: z.boolean().describe('the adapter computes on the CPU'),
  subgroup_size: z.int().nonnegative(),
  clock: z.enum(['timestamps', 'wall']).describe('how kernels were timed'),
  peaks: z.object({ gflops: amount, gbps: amount }).describe('measured in the same run'),
  system: system.optional(),
  complete: z.boolean().optional().describe('false in a report of a run that was cut off: the rows so far'),
  skipped: z.array(z.string()).optional().describe('names of the rows in half precision, where the device has none'),
  rows: z.array(row),
  failed: z.int().nonnegative(),
});

export type BenchSystem = z.infer<typeof system>;
export type BenchRow = z.infer<typeof row>;
export type BenchProfile = z.infer<typeof profile>;
export type BenchReport = z.infer<typeof benchReportSchema>;

/** The schema as JSON Schema: docs/bench.schema.json. */
export const benchJsonSchema = (): object => ({
  title: 'Report of rcnn bench --json',
  ...z.toJSONSchema(benchReportSchema, { io: 'input' }),
});

/** Throws a UserError that names the file and the value that is wrong. */
export const readBenchReport = (path: string): BenchReport =>
  readJsonFile(path, benchReportSchema, {
    expected: 'a report of rcnn bench --json',
    tooLarge: 'give a report of rcnn bench --json',
  });
