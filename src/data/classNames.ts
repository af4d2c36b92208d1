/** Names of classes: the background's, and how those of objects are written. */
import { UserError } from '../engine/errors.ts';

/** The name of class 0 in every data set. */
export const BACKGROUND = '__background__';

/** A name without white space around it, one space within, and accents composed (NFC): how names are compared and kept. */
export const tidyName = (name: string): string => name.trim().replace(/\s+/g, ' ').normalize('NFC');

/** The tidy name of a class of objects; `where` begins the message where it is empty or the background's. */
export function className(name: string, where: string): string {
  const tidy = tidyName(name);
  if (tidy === '') throw new UserError(`${where} has no class; name one or remove the object`);
  if (tidy !== BACKGROUND) return tidy;
  throw new UserError(
    `${where} is of class '${BACKGROUND}', which is reserved for the background; rename or remove it`,
  );
}

/** Pairs of names that differ only in case, or in spaces, hyphens and underscores. */
export function alikeNames(names: readonly string[]): [string, string][] {
  const seen = new Map<string, string>();
  const pairs: [string, string][] = [];
  for (const name of names) {
    const key = name.toLowerCase().replace(/[\s_-]+/g, '');
    const before = seen.get(key);
    if (before === undefined) seen.set(key, name);
    else if (before !== name) pairs.push([before, name]);
  }
  return pairs;
}
