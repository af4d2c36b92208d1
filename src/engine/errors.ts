/**
 * An error that the user can fix: a bad file, argument or machine. Its message is one line that says what (file or
 * argument), what is wrong with it, and what to do. The command prints the message alone and exits with code 1; every
 * other error is a defect of this program and keeps its stack.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** The device is gone: every later use of it throws this. What was on it is lost. */
export class DeviceLostError extends UserError {
  /** What happened, without what to do. */
  readonly what: string;

  constructor(what: string, options?: ErrorOptions) {
    super(`${what}; run the command again, a training with --resume`, options);
    this.what = what;
  }
}
