/** Tables in the form that keras-retinanet reads: a file for each split, with classes.csv beside them; edges from 0. */
import { csvRow as row } from '../csvFile.ts';
import type { FormatWriter, WrittenImage } from '../format.ts';
import { countRounding, decimal, edgesOf, isPlain, LostItems, PIXEL_DECIMALS, usualNames } from './edges.ts';

const imagePath = ({ name, extension }: WrittenImage): string => `images/${name}${extension}`;

export const csvWriter: FormatWriter = {
  imagePath,
  files(splits, classes) {
    const lost = new LostItems();
    const names = usualNames(splits, 'CSV');
    const files = new Map(
      splits.map((split) => [
        `${names.get(split) ?? 'annotations'}.csv`,
        split.images.flatMap((image) => rows(image, classes, lost)).join(''),
      ]),
    );
    files.set('classes.csv', classes.map((name, i) => row([name, String(i)])).join(''));
    const lines = lost.lines;
    if (splits.length === 1 && splits[0]!.split !== undefined) {
      lines.push(`one table is read as data without splits: that its images are '${splits[0]!.split}' is lost`);
    }
    return { files, lost: lines };
  },
};

function rows(image: WrittenImage, classes: readonly string[], lost: LostItems): string[] {
  const file = imagePath(image);
  const boxes = image.sample.boxes.filter((box) => isPlain(box, 'CSV', lost));
  if (boxes.length === 0) return [row([file, '', '', '', '', ''])];
  return boxes.map((box) => {
    countRounding(box, lost);
    const corners = edgesOf(box).map((edge) => decimal(edge, PIXEL_DECIMALS));
    return row([file, ...corners, classes[box.classIndex - 1]!]);
  });
}
