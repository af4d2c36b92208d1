/**
 * Annotation files of Pascal VOC, as they are: pixels count from 1, both corners inclusive.
 *
 * Children are read by name, as some tools write xmin, xmax, ymin, ymax, and only direct children of an object, as some
 * objects have parts with boxes of their own.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { UserError } from '../engine/errors.ts';
import { assertClassName } from './background.ts';
import { attempt, type OnProblem } from './problems.ts';

/** One object as the file has it: 1-based inclusive corners. */
export interface VocObject {
  /** Its place among the file's objects, from 1. */
  number: number;
  name: string;
  difficult: boolean;
  xmin: number;
  ymin: number;
  xmax: number;
  ymax: number;
}

export interface VocAnnotation {
  filename: string;
  width: number;
  height: number;
  objects: VocObject[];
}

/** A parsed XML element: text, or children by name; a repeated child is an array. */
type Xml = string | Xml[] | { [child: string]: Xml };

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false, // a class may be called '007'
  isArray: (name) => name === 'object',
});

/** Reads one annotation file; every message names the file and the element. An object that has a problem is left out. */
export function readVocAnnotation(path: string, onProblem: OnProblem | undefined): VocAnnotation {
  const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  const valid = XMLValidator.validate(text);
  if (valid !== true) {
    const { line, msg } = valid.err;
    throw new UserError(`${path}: line ${line}: not well-formed XML (${msg.replace(/\s+/g, ' ')}); fix the file`);
  }
  const annotation = child(parser.parse(text) as Xml, 'annotation');
  if (annotation === undefined) throw new UserError(`${path}: has no <annotation>; it is not a VOC annotation file`);

  const text1 = (parent: Xml | undefined, name: string, where: string): string => {
    const value = child(parent, name);
    if (typeof value === 'string' && value !== '') return value;
    throw new UserError(`${path}: ${where} must have exactly one <${name}> with a value; fix the file`);
  };
  const number = (parent: Xml | undefined, name: string, where: string): number => {
    const value = text1(parent, name, where);
    if (Number.isFinite(Number(value))) return Number(value);
    throw new UserError(`${path}: ${where}: <${name}>${value}</${name}> is not a number; fix the file`);
  };

  const size = child(annotation, 'size');
  const width = number(size, 'width', '<size>');
  const height = number(size, 'height', '<size>');
  if (!(width >= 1 && height >= 1)) {
    throw new UserError(`${path}: <size> is ${width}x${height}; write the size of the image there`);
  }
  const objects = (child(annotation, 'object') ?? []) as Xml[];
  const filename = child(annotation, 'filename');
  return {
    filename: typeof filename === 'string' ? basename(filename) : '',
    width,
    height,
    objects: objects.flatMap((object, i): VocObject[] => {
      const where = `object ${i + 1}`;
      const box = child(object, 'bndbox');
      const read = (): VocObject[] => [
        {
          number: i + 1,
          name: assertClassName(text1(object, 'name', where), `${path}: ${where}`),
          difficult: child(object, 'difficult') === '1',
          xmin: number(box, 'xmin', `${where}: <bndbox>`),
          ymin: number(box, 'ymin', `${where}: <bndbox>`),
          xmax: number(box, 'xmax', `${where}: <bndbox>`),
          ymax: number(box, 'ymax', `${where}: <bndbox>`),
        },
      ];
      return attempt(onProblem, read) ?? [];
    }),
  };
}

const child = (element: Xml | undefined, name: string): Xml | undefined =>
  typeof element === 'object' && !Array.isArray(element) && Object.hasOwn(element, name) ? element[name] : undefined;
