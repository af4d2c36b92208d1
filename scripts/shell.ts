/** Helpers of the scripts: running a command, failing with one line. */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Runs a command and returns its stdout; if it fails, the script ends with everything it wrote. */
export function run(folder: string, command: string, ...args: string[]): string {
  const result = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: 10 * 60_000,
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) {
    const why = result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`);
    fail(`${[command, ...args].join(' ')}: ${why}\n${result.stdout ?? ''}${result.stderr ?? ''}`);
  }
  return result.stdout;
}

export function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
