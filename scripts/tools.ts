/**
 * Runs a tool from tools/, which has its own dependencies because they need TypeScript 6; the project compiles with 7. They are
 * installed on first use, and again whenever tools/package-lock.json changes.
 *
 *   npx tsx scripts/tools.ts NAME [ARGUMENTS]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import * as path from 'node:path';
import { fail, root, run } from './shell.ts';

const tools = path.join(root, 'tools');
const [name, ...args] = process.argv.slice(2);
if (name === undefined) fail('usage: npx tsx scripts/tools.ts NAME [ARGUMENTS]');

const changed = (file: string): number => {
  const full = path.join(tools, file);
  return existsSync(full) ? statSync(full).mtimeMs : 0;
};
if (changed('node_modules/.package-lock.json') < changed('package-lock.json')) {
  console.log('installing the tools into tools/node_modules');
  run(tools, 'npm', 'ci', '--no-fund', '--no-audit');
}

const windows = process.platform === 'win32';
const command = path.join(tools, 'node_modules', '.bin', windows ? `${name}.cmd` : name);
if (!existsSync(command)) fail(`tools/ has no ${name}`);
process.exitCode = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: windows }).status ?? 1;
