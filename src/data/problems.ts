/** What is wrong with a data set: the first problem ends the reading, or all are collected, each image or object by itself. */
import { UserError } from '../engine/errors.ts';
import type { OnProblem } from './types.ts';

/** What `read` returns; where it throws a UserError and `onProblem` takes it, undefined. */
export function attempt<T>(onProblem: OnProblem | undefined, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!onProblem || !(error instanceof UserError)) throw error;
    onProblem(error.message);
    return undefined;
  }
}
