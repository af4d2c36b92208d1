/** A format of data that a program adds: one file, and one call of `registerFormat`. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { annotatedFormat } from '../../src/node.ts';

/** A file FOLDER/boxes.mine with lines 'IMAGE CLASS x1 y1 x2 y2': edges in pixels. */
export const mine = annotatedFormat({
  name: 'mine',
  usage: 'mine:FILE',
  summary: 'lines of an image, a class and four numbers',
  sets: (paths) => paths.map((path) => [path]),
  recognises: (path) => (path.endsWith('.mine') ? 1 : null),
  read: ([path]) => ({
    name: 'mine',
    path: path!,
    splits: [],
    imageFolders: [dirname(path!)],
    images: () => {
      const lines = readFileSync(path!, 'utf8').trim().split('\n');
      return lines.map((line, i) => {
        const [file, className, ...corners] = line.split(' ');
        const [x1, y1, x2, y2] = corners.map(Number);
        const object = { className: className!, x1: x1!, y1: y1!, x2: x2!, y2: y2! };
        return {
          file: file!,
          source: path!,
          objects: [{ ...object, what: `line ${i + 1}`, written: `box (${corners.join(', ')})` }],
        };
      });
    },
  }),
});
