/** A small data set, and files of proposals for its images. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder, vocXml, writeVoc } from '../data/fixtures.ts';

const HEADER = 'image,x1,y1,x2,y2,score';
const TRAIN = ['a', 'b', 'c', 'd'];
/** Images of 40 x 30 pixels, red on the left and blue on the right: a red object from 2 to 19, a blue one from 20 to 37. */
export const data = (async () => {
  const ids = [...TRAIN, 'v'];
  const xml = vocXml([
    { name: 'blue', box: [21, 4, 38, 25] },
    { name: 'red', box: [3, 4, 20, 25] },
  ]);
  return `voc:${await writeVoc({
    splits: { train: TRAIN.join('\n'), val: 'v' },
    annotations: Object.fromEntries(ids.map((id) => [id, xml])),
    images: ids.map((id) => `${id}.jpg`),
  })}`;
})();

let files = 0;
const folder = temporaryFolder();
/** A new file of proposals. */
export function csv(...lines: string[]): string {
  const path = join(folder, `proposals-${files++}.csv`);
  writeFileSync(path, [HEADER, ...lines].join('\n'));
  return path;
}

/** Near both objects, beside them, one pixel, and the whole image. */
export const boxesOf = (id: string): string[] => [
  `${id},1,4,18,24,0.9`,
  `${id},21,3,38,23,0.8`,
  `${id},10,5,28,20,0.5`,
  `${id},5,5,5,5,0.4`,
  `${id},0,0,39,29,0.1`,
];
export const train = csv(...TRAIN.flatMap(boxesOf));
export const val = csv(...boxesOf('v'));
