/** Boxes that cannot be used: the first of them stops (the default), or all are left out and one note tells of them. */
import { UserError } from '../engine/errors.ts';

/** Pixels by which a box may cross its picture's border before it is an error rather than a rounding to be clipped. */
export const BORDER_TOLERANCE = 2;

export class BadBoxes {
  readonly #found: string[] = [];
  readonly #action: 'error' | 'skip';

  constructor(action: 'error' | 'skip' = 'error') {
    this.#action = action;
  }

  /** `what`: the file, which box and what is wrong with it. */
  add(what: string): void {
    if (this.#action === 'error') throw new UserError(`${what}; fix or delete it, or pass --skip-bad-boxes`);
    this.#found.push(what);
  }

  notes(): string[] {
    const { length, [0]: first } = this.#found;
    return length === 0 ? [] : [`${length} unusable box${length > 1 ? 'es' : ''} left out, the first: ${first}`];
  }
}
