/**
 * An error that the user can fix: a bad file, argument or machine. Its message is one line that says what (file or
 * argument), what is wrong with it, and what to do. The command prints the message alone and exits with code 1; every
 * other error is a defect of this program and keeps its stack.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** Something is wrong with the machine or the installation: no input is to blame, and every other input would fail as well. */
export class MachineError extends UserError {}

/** Whether the error is that of one input, so that work on the others can go on. */
export const isInputError = (error: unknown): error is UserError =>
  error instanceof UserError && !(error instanceof MachineError);

/**
 * Runs `read`; whatever it throws becomes one line that begins with `source`. `unexpected`: the line for an error that is not a
 * UserError, from its message.
 */
export function inOneLine<T>(source: string, read: () => T, unexpected: (message: string) => string): T {
  try {
    return read();
  } catch (error) {
    const { message } = error as Error;
    throw new UserError(`${source}: ${error instanceof UserError ? message : unexpected(message)}`);
  }
}

/** The device is gone: every later use of it throws this. What was on it is lost. */
export class DeviceLostError extends MachineError {
  /** What happened, without what to do. */
  readonly what: string;

  constructor(what: string, options?: ErrorOptions) {
    super(`${what}; run the command again, a training with --resume`, options);
    this.what = what;
  }
}
