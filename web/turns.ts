/** Gives turns at something that only one can use at a time, in the order of the requests. */
export class Turns {
  private last: Promise<void> = Promise.resolve();

  /** Resolves when it is the caller's turn, with a function that ends the turn. */
  async take(): Promise<() => void> {
    const before = this.last;
    let end!: () => void;
    this.last = new Promise((resolve) => (end = resolve));
    await before;
    return end;
  }

  async during<T>(use: () => Promise<T>): Promise<T> {
    const end = await this.take();
    try {
      return await use();
    } finally {
      end();
    }
  }
}
