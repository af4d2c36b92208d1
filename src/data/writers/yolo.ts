/** YOLO as a format to write, in the layout of Ultralytics: centre and size as fractions of the image, edges from 0. */
import { stringify } from 'yaml';
import type { FormatWriter, WrittenImage } from '../format.ts';
import { decimal, edgesOf, isPlain, LostItems, usualNames } from './edges.ts';

/** How many decimals of a fraction are written. */
const DECIMALS = 9;

const imageFolder = (split: string | undefined): string => (split === undefined ? 'images' : `images/${split}`);
const imagePath = ({ name, extension }: WrittenImage, split: string | undefined): string =>
  `${imageFolder(split)}/${name}${extension}`;

export const yoloWriter: FormatWriter = {
  imagePath,
  files(splits, classes) {
    const lost = new LostItems();
    const names = usualNames(splits, 'YOLO');
    const files = new Map<string, string>();
    const yaml: Record<string, unknown> = {};
    for (const split of splits) {
      const key = names.get(split);
      if (key !== undefined) yaml[key] = imageFolder(split.split);
      for (const image of split.images) {
        // Ultralytics looks for the text file at the same path, with the last folder 'images' replaced by 'labels'.
        const stem = imagePath({ ...image, extension: '' }, split.split);
        files.set(`${stem.replace(/^(.*\/)?images\//, '$1labels/')}.txt`, lines(image, lost));
      }
    }
    files.set('data.yaml', stringify({ ...yaml, names: Object.fromEntries(classes.map((name, i) => [i, name])) }));
    const precision = `fractions have ${DECIMALS} decimals: less than 0.00001 px of an image of 10,000 px is lost`;
    const without = 'has no splits, which Ultralytics needs: --split train,val,test writes splits drawn by a seed';
    return { files, lost: [precision, ...lost.lines, ...(Object.keys(yaml).length === 0 ? [without] : [])] };
  },
};

function lines({ sample: { boxes, width, height } }: WrittenImage, lost: LostItems): string {
  return boxes
    .filter((box) => isPlain(box, 'YOLO', lost))
    .map((box) => {
      const [x1, y1, x2, y2] = edgesOf(box);
      const values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height];
      return `${box.classIndex - 1} ${values.map((value) => decimal(value, DECIMALS)).join(' ')}\n`;
    })
    .join('');
}
