/** The name of class 0 in every data set. */
import { UserError } from '../engine/errors.ts';

export const BACKGROUND = '__background__';

/** The name of a class of objects; `where` begins the message where it is the background's. */
export function assertClassName(name: string, where: string): string {
  if (name !== BACKGROUND) return name;
  throw new UserError(
    `${where} is of class '${BACKGROUND}', which is reserved for the background; rename or remove it`,
  );
}
