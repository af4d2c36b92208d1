/** Class names: the background's, and the normal form of the others. */
import { UserError } from '../engine/errors.ts';

/** The name of class 0 in every data set. */
export const BACKGROUND = '__background__';

/** The form in which names are compared and stored: trimmed, single spaces, none of no width, accents composed (NFC). */
export const tidyName = (name: string): string =>
  name
    .replace(/[\u200b\u2060\ufeff]/g, '')
    .trim()
    .replace(/\s+/g, ' ')
    .normalize('NFC');

/** The tidy name of an object class; `where` begins the error message if it is empty or the background's. */
export function className(name: string, where: string): string {
  const tidy = tidyName(name);
  if (tidy === '') throw new UserError(`${where} has no class; name one or remove the object`);
  if (tidy !== BACKGROUND) return tidy;
  throw new UserError(
    `${where} is of class '${BACKGROUND}', which is reserved for the background; rename or remove it`,
  );
}

/** Pairs of names that differ only in case, spaces, hyphens or underscores. */
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
