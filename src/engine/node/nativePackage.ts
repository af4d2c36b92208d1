/**
 * Packages with native parts, loaded when they are first needed: a command that draws or decodes nothing runs where they
 * are not installed or not built for the platform.
 */
import { createRequire } from 'node:module';
import { UserError } from '../errors.ts';

const require = createRequire(import.meta.url);

/** The package; if it cannot be loaded, a one-line UserError names it. `use` is what it is needed for. */
export function nativePackage<T>(name: string, use: string): T {
  try {
    return require(name) as T;
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0]!;
    throw new UserError(`the npm package ${name}, which ${use}, does not load here (${reason}): run npm i ${name}`, {
      cause: error,
    });
  }
}
