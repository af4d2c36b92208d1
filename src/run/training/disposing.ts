/** What `work` resolves with. If it fails, the caller never gets the model that it works on, so that is freed. */
export async function disposingOnError<T>(model: { dispose(): void }, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    model.dispose();
    throw error;
  }
}
