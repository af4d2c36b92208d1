/**
 * The process in which the tests run: takes test files as arguments, runs them in order on one shared device, and
 * reports to run.ts. uvu's own queue is used file by file: `test.run()` puts a suite into it, which this calls.
 */
import { closeSharedGpu, sharedGpu, takeSkips } from './harness.ts';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** What run.ts is told: the adapter, each file that starts, each test that ends, each file's counts, the end. */
export type Report =
  | { kind: 'adapter'; adapter: string }
  | { kind: 'start'; file: string }
  | { kind: 'test'; passed: boolean }
  | { kind: 'counts'; counts: Counts }
  | { kind: 'done' };

/** A queued suite: the text of its failures (`true`: none), tests that passed, that were skipped, that there are. */
type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, tests: number]>;

const uvu = globalThis as unknown as { UVU_DEFER: number; UVU_INDEX: number; UVU_QUEUE: Suite[][] };
uvu.UVU_DEFER = 1; // suites wait in the queue instead of starting by themselves
uvu.UVU_QUEUE = [];

await openDevice();
const files = process.argv.slice(2);
for (const [index, file] of files.entries()) {
  tell({ kind: 'start', file });
  uvu.UVU_INDEX = index;
  uvu.UVU_QUEUE[index] = [];
  process.stdout.write(`${file} `);
  tell({ kind: 'counts', counts: await runFile(file, uvu.UVU_QUEUE[index]) });
}
await closeSharedGpu().catch(() => {});
// Whatever a test left open must not keep the process.
process.send!({ kind: 'done' } satisfies Report, () => process.exit(0));

/** The device's adapter goes first: a number means little without it. Tests that need no device run without one too. */
async function openDevice(): Promise<void> {
  const adapter = await sharedGpu().then(
    (gpu) => gpu.adapter.description,
    (error: Error) => `none: ${error.message}`,
  );
  console.log(`adapter: ${adapter}\n`);
  tell({ kind: 'adapter', adapter });
}

async function runFile(file: string, queue: Suite[]): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const start = performance.now();
  const failures: string[] = [];
  const write = watchMarks(() => `${((performance.now() - start) / 1000).toFixed(1)} s`);
  try {
    await import(`./${file}`);
    if (queue.length === 0) throw new Error('no tests: it does not end with test.run()');
    for (const suite of queue) {
      const [errors, passed, skipped, tests] = await suite();
      counts.passed += passed;
      counts.failed += tests - passed;
      counts.skipped += skipped;
      if (errors !== true) failures.push(errors);
      else if (tests > passed) failures.push('  a hook of the suite threw\n');
      else if (skipped > 0) failures.push(`  ${skipped} skipped by test.skip or test.only\n`);
    }
  } catch (error) {
    counts.failed++;
    failures.push(`  FAIL  ${error instanceof Error ? error.stack : error}\n`);
    write('\n');
  } finally {
    process.stdout.write = write as typeof process.stdout.write;
  }
  for (const reason of takeSkips()) {
    counts.passed--;
    counts.skipped++;
    write(`  skipped: ${reason}\n`);
  }
  if (failures.length > 0) write(`\n${failures.join('\n')}\n`);
  return counts;
}

/** uvu prints a mark for each test that ends, which is reported, and a count for each suite, which gets the time. */
function watchMarks(time: () => string): (text: string) => boolean {
  const write = process.stdout.write.bind(process.stdout) as (text: string) => boolean;
  process.stdout.write = ((text: string | Uint8Array, ...rest: unknown[]) => {
    if (typeof text === 'string' && text.length < 40) {
      const passed = text.includes('• ');
      if (passed || text.includes('✘ ')) tell({ kind: 'test', passed });
      if (passed && !process.stdout.isTTY) return true; // a log needs no progress
      if (/^\S* {2}\(\d+ \/ \d+\)\n/.test(text)) text = text.replace(')\n', `)  ${time()}\n`);
    }
    return (write as (...args: unknown[]) => boolean)(text, ...rest);
  }) as typeof process.stdout.write;
  return write;
}

function tell(report: Report): void {
  process.send!(report);
}
