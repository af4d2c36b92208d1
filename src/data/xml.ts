/** Annotations in XML, in the encoding that they declare, as plain elements. */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { UserError } from '../engine/errors.ts';
import { decodeText, printable } from './text.ts';

/** A parsed element: text, or children (and attributes, named '@name') by name; a repeated child is an array. */
export type Xml = string | Xml[] | { [child: string]: Xml };

/**
 * The root's children by name. Throws a UserError, which begins with `source`, if the bytes are not well-formed XML. `lists` names
 * the elements that are always arrays.
 */
export function parseXml(bytes: Uint8Array, source: string, lists: readonly string[]): Xml {
  const text = decodeText(
    bytes,
    source,
    (beginning) => /^\s*<\?xml[^>]*\sencoding\s*=\s*["']([^"']+)["']/.exec(beginning)?.[1],
  );
  const wrong = (what: string): UserError =>
    new UserError(`${source}: ${printable(what.replace(/\s+/g, ' '))}; fix the file`);
  try {
    const valid = XMLValidator.validate(text);
    if (valid !== true) throw wrong(`line ${valid.err.line}: not well-formed XML (${valid.err.msg})`);
    return parserOf(lists).parse(text) as Xml;
  } catch (error) {
    // There are too many entities, or an element is called __proto__.
    throw error instanceof UserError ? error : wrong(`cannot be read as XML (${(error as Error).message})`);
  }
}

const parserOf = (lists: readonly string[]): XMLParser =>
  new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    parseTagValue: false, // a class may be called '007'
    htmlEntities: true, // numbers of characters too: caf&#233;
    parseAttributeValue: false,
    isArray: (name) => lists.includes(name),
  });

/** The child of this name; several are an array. */
export const child = (element: Xml | undefined, name: string): Xml | undefined =>
  typeof element === 'object' && !Array.isArray(element) && Object.hasOwn(element, name) ? element[name] : undefined;

/** The children of this name. */
export function children(element: Xml | undefined, name: string): Xml[] {
  const found = child(element, name);
  return found === undefined ? [] : Array.isArray(found) ? found : [found];
}

/** The text of an element or, given a name, of its first child of that name; undefined if there is none, or if it has children. */
export function textOf(element: Xml | undefined, name?: string): string | undefined {
  const found = name === undefined ? element : children(element, name)[0];
  if (typeof found === 'string') return found;
  const text = child(found, '#text'); // beside attributes
  return typeof text === 'string' ? text : undefined;
}
