/** Problems with a data set: the first one is thrown, or all are collected, image by image and object by object. */
import { isInputError } from '../engine/errors.ts';
import type { OnProblem } from './types.ts';

/** Returns what `read` returns, or undefined if it throws an error of the input and `onProblem` is given to receive it. */
export function attempt<T>(onProblem: OnProblem | undefined, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!onProblem || !isInputError(error)) throw error;
    onProblem(error.message);
    return undefined;
  }
}
