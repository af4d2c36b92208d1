/** Lines about a data set that the user should read once. */
import type { ReadContext } from './annotated.ts';

/** Collects the notes and doubts about one data set. */
export class Notes {
  private readonly doubtful = new Set<string>();
  private readonly lines: string[] = [];
  private readonly tallies = new Map<string, { count: number; example: string }>();

  readonly context: Omit<ReadContext, 'onProblem'> = {
    note: (text) => void this.lines.push(text),
    doubt: (text) => void this.doubtful.add(text),
    tally: (what, example) => {
      const { count = 0, example: first = example } = this.tallies.get(what) ?? {};
      this.tallies.set(what, { count: count + 1, example: first });
    },
  };

  get doubts(): string[] {
    return [...this.doubtful];
  }

  get all(): string[] {
    const counted = [...this.tallies].map(([what, { count, example }]) => `${what} (${count}, the first: ${example})`);
    return [...this.lines, ...counted];
  }
}
