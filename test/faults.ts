/** Faults of the file system, for as long as a function runs. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** While `fn` runs, these calls of node:fs fail as on a full disk or a broken one: `code` is the system's, as ENOSPC. */
export async function withFault<T>(
  call: 'writeSync' | 'fsyncSync' | 'renameSync',
  code: string,
  fn: () => T | Promise<T>,
): Promise<T> {
  const original = fs[call];
  Object.assign(fs, {
    [call]: () => {
      throw Object.assign(new Error(`${code}: a fault of the test's, ${call}`), { code });
    },
  });
  syncBuiltinESMExports();
  try {
    return await fn();
  } finally {
    Object.assign(fs, { [call]: original });
    syncBuiltinESMExports();
  }
}
