/** The result of a function that must not be async: `caller` changes the device's state only until the function returns. */
export function synchronous<T>(caller: string, result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => {}); // the error below is the one to report
  throw new Error(
    `${caller}: its function is async, but ${caller} ends at the first await: record inside it, read and await outside`,
  );
}
