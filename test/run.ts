/**
 * Runs the tests: `npm test`, or `npm test -- FILTER...` for the files whose path contains one of the filters.
 *
 * All files run in one process (runFiles.ts), which shares a device and its compiled shaders. This one watches it: a
 * test that hangs or brings the process down, as a driver can, counts as failed, and a new process goes on with the
 * files after it. Where the tests ran on lavapipe, the kernel tests run a second time on SwiftShader: the two differ
 * in subgroup size, workgroup limits and arithmetic.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync } from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Counts, Report } from './runFiles.ts';

/** How long a single test may take. */
const TEST_LIMIT_S = Number(process.env['TEST_LIMIT_S'] ?? 240);

const folder = path.dirname(fileURLToPath(import.meta.url));

const filters = process.argv.slice(2);
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll(path.sep, '/'))
  .filter((file) => file.endsWith('.test.ts') && (filters.length === 0 || filters.some((part) => file.includes(part))))
  .sort();
if (files.length === 0) {
  console.error(`test: no file under test/ has ${filters.join(' or ')} in its path`);
  process.exit(1);
}

const { total, adapter } = await runAll(files, {});
const kernels = files.filter((file) => file.startsWith('kernels/'));
if (/llvmpipe/.test(adapter) && kernels.length > 0) {
  console.log('\nThe kernel tests again, on the other software adapter');
  const again = await runAll(kernels, { WEBGPU_RCNN_SOFTWARE: 'swiftshader' });
  console.log(`\nAll tests on ${adapter}\n  ${describe(total)}`);
  console.log(`The kernel tests on ${again.adapter}\n  ${describe(again.total)}`);
  add(total, again.total);
}
console.log(`\n${describe(total)}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

async function runAll(files: string[], env: Record<string, string>): Promise<{ total: Counts; adapter: string }> {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  let adapter = '';
  for (let rest = files; rest.length > 0;) {
    const options = { env: { ...process.env, ...env, RCNN_TEST_RUNNER: '1' } };
    const outcome = await follow(fork(path.join(folder, 'runFiles.ts'), rest, options), total);
    adapter ||= outcome.adapter;
    if (!outcome.died) break;
    console.log(`\n  FAIL  ${outcome.file ?? 'before the first file'}: ${outcome.died}`);
    total.failed++;
    rest = outcome.file === undefined ? [] : rest.slice(rest.indexOf(outcome.file) + 1);
  }
  return { total, adapter };
}

interface Outcome {
  adapter: string;
  /** Why the process did not get through its files, and the file it was at. */
  died?: string;
  file?: string;
}

/** Follows a process to its end and adds what it reports to `total`. */
function follow(child: ChildProcess, total: Counts): Promise<Outcome> {
  return new Promise((resolve) => {
    let adapter = '';
    let file: string | undefined;
    let done = false;
    let died: string | undefined;
    let started: Counts = { passed: 0, failed: 0, skipped: 0 };
    let timer: NodeJS.Timeout;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        died = `its test ${started.passed + started.failed + 1} did not end within ${TEST_LIMIT_S} s`;
        child.kill('SIGKILL');
      }, TEST_LIMIT_S * 1000);
    };
    wait();
    child.on('message', (report: Report) => {
      wait();
      if (report.kind === 'adapter') adapter = report.adapter;
      else if (report.kind === 'start') file = report.file;
      else if (report.kind === 'test') started[report.passed ? 'passed' : 'failed']++;
      else if (report.kind === 'done') done = true;
      else {
        add(total, report.counts);
        started = { passed: 0, failed: 0, skipped: 0 };
      }
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (!done) died ??= `the process ended (${signal ?? `exit code ${code}`})`;
      add(total, started);
      resolve({ adapter, ...(died ? { died, file } : {}) });
    });
  });
}

function add(total: Counts, counts: Counts): void {
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}

function describe({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
