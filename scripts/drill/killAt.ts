/**
 * Loaded before a program (`node --import`): ends it, as a kill would, at a chosen call that changes the file system.
 *
 *   KILL_AT=12          before the 12th call; of a write of several bytes, half is written first
 *   KILL_MATCHING=text  only calls for paths that contain the text count
 *   KILL_COUNT=file     kills nothing, and writes to this file which calls were made, one per line
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { KILL_AT, KILL_MATCHING = '', KILL_COUNT } = process.env;
const target = Number(KILL_AT ?? 0);
const paths = new Map<number, string>();
const original = { ...fs };
let calls = 0;

/** Counts a call for a path, and ends the process if it is the chosen one. */
function at(call: string, path: string, before?: () => void): void {
  if (!path.includes(KILL_MATCHING)) return;
  calls++;
  if (KILL_COUNT !== undefined) original.appendFileSync(KILL_COUNT, `${call} ${path}\n`);
  if (calls !== target) return;
  before?.();
  process.kill(process.pid, 'SIGKILL');
}

const writes = (flags: unknown): boolean =>
  typeof flags === 'number'
    ? (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0
    : /[wa+]/.test(String(flags));

Object.assign(fs, {
  openSync(path: string, flags: string | number, ...rest: []) {
    if (writes(flags)) at('open', path);
    const file = original.openSync(path, flags, ...rest);
    paths.set(file, path);
    return file;
  },
  writeSync(file: number, data: Uint8Array, offset = 0, length = data.byteLength - offset) {
    const half = (): void => void original.writeSync(file, data, offset, length >> 1);
    at('write', paths.get(file) ?? '', half);
    return original.writeSync(file, data, offset, length);
  },
  fsyncSync(file: number) {
    at('fsync', paths.get(file) ?? '');
    original.fsyncSync(file);
  },
  renameSync(from: string, to: string) {
    at('rename', to);
    original.renameSync(from, to);
    at('after rename', to);
  },
});
syncBuiltinESMExports();
