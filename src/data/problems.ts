/** Problems with a data set: the first one is thrown, or all are collected, image by image and object by object. */
import { UserError } from '../engine/errors.ts';
import type { OnProblem } from './types.ts';

/** Returns what `read` returns, or undefined if it throws a UserError and `onProblem` is given to receive it. */
export function attempt<T>(onProblem: OnProblem | undefined, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!onProblem || !(error instanceof UserError)) throw error;
    onProblem(error.message);
    return undefined;
  }
}
