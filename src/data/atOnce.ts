/** Works on several files at once, since reading and decoding wait for the disk and for other threads. */

/** Begins `work` on the items in their order, at most `limit` at once. The first error ends it. */
export async function eachAtOnce<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    try {
      while (next < items.length) await work(items[next++]!);
    } catch (error) {
      next = items.length;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
