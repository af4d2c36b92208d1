/** Tables in the form that keras-retinanet reads: a file for each split, with classes.csv beside them; edges from 0. */
import type { FormatWriter, WrittenImage } from '../format.ts';
import { countRounding, decimal, edgesOf, isPlain, Losses, PIXEL_DECIMALS, usualNames } from './edges.ts';

const picturePath = ({ name, extension }: WrittenImage): string => `images/${name}${extension}`;

export const csvWriter: FormatWriter = {
  picturePath,
  files(parts, classes) {
    const losses = new Losses();
    const names = usualNames(parts, 'CSV');
    const files = new Map(
      parts.map((part) => [
        `${names.get(part) ?? 'annotations'}.csv`,
        part.images.flatMap((image) => rows(image, classes, losses)).join(''),
      ]),
    );
    files.set('classes.csv', classes.map((name, i) => row([name, String(i)])).join(''));
    const lines = losses.lines;
    if (parts.length === 1 && parts[0]!.split !== undefined) {
      lines.push(`one table is read as data without parts: that its images are '${parts[0]!.split}' is lost`);
    }
    return { files, losses: lines };
  },
};

const row = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`;

function rows(image: WrittenImage, classes: readonly string[], losses: Losses): string[] {
  const file = picturePath(image);
  const boxes = image.sample.boxes.filter((box) => isPlain(box, 'CSV', losses));
  if (boxes.length === 0) return [row([file, '', '', '', '', ''])];
  return boxes.map((box) => {
    countRounding(box, losses);
    const corners = edgesOf(box).map((edge) => decimal(edge, PIXEL_DECIMALS));
    return row([file, ...corners, classes[box.classIndex - 1]!]);
  });
}
