/** Annotation files in XML (xml.ts). */
import { readTextBytes } from './textFile.ts';
import { parseXml, type Xml } from './xml.ts';

/** The root's children by name. `lists` names the elements that are always arrays. */
export const readXml = (path: string, lists: readonly string[]): Xml => parseXml(readTextBytes(path), path, lists);
