/** The project as a data set in one zip file: the pictures as they were added, and their labels in a format that other tools read. */
import { strToU8, Zip, ZipDeflate, ZipPassThrough } from 'fflate';
import { type LabelFormat, type WrittenImage, type WrittenSplit, writeLabels } from '../../src/index.ts';
import { isLabelled, type Picture, type Project } from './project.ts';

export interface Exported {
  zip: Blob;
  /** What the format cannot hold, one line each. */
  lost: string[];
}

/** YOLO's programs want a split for validation as well: every fifth picture. */
const VALIDATED = 5;

/** Pictures that have not been labelled yet are left out: in a data set they would count as background. */
export async function exportProject(
  project: Project,
  format: LabelFormat,
  fileOf: (id: string) => Promise<Blob>,
): Promise<Exported> {
  const labelled = project.pictures.filter(isLabelled);
  const isVal = (i: number): boolean => format === 'yolo' && i % VALIDATED === VALIDATED - 1;
  const [train, val] = [false, true].map((wanted) => labelled.filter((_, i) => isVal(i) === wanted));
  const split = (name: string | undefined, pictures: readonly Picture[]): WrittenSplit => ({
    split: name,
    images: pictures.map((picture) => writtenImage(picture, project)),
  });
  const splits = val!.length > 0 ? [split('train', train!), split('val', val!)] : [split(undefined, labelled)];
  const classes = project.classes.map(({ name }) => name);
  const { texts, images: paths, lost } = await writeLabels(format, splits, classes);
  const zip = zipped();
  for (const [path, text] of texts) zip.add(new ZipDeflate(path), strToU8(text));
  for (const [i, { id }] of [...train!, ...val!].entries()) {
    const bytes = new Uint8Array(await (await fileOf(id)).arrayBuffer());
    zip.add(new ZipPassThrough(paths[i]!), bytes); // it is compressed already
  }
  return { zip: zip.end(), lost };
}

/** A zip file as it grows. Each part is a Blob at once, which the browser can put on disk: only one picture is in memory. */
function zipped() {
  const parts: Blob[] = [];
  const zip = new Zip((error, part) => {
    if (error) throw error;
    parts.push(new Blob([part as Uint8Array<ArrayBuffer>]));
  });
  return {
    add(file: ZipDeflate | ZipPassThrough, bytes: Uint8Array): void {
      zip.add(file);
      file.push(bytes, true);
    },
    end(): Blob {
      zip.end();
      return new Blob(parts);
    },
  };
}

function writtenImage({ name, width, height, boxes }: Picture, { classes }: Project): WrittenImage {
  const [, stem, extension] = /^(.*)(\.[^.]*)$/s.exec(name) as unknown as [string, string, string];
  const indices = new Map(classes.map(({ id }, i) => [id, i + 1]));
  const load = () => Promise.reject(new Error('only the labels are written'));
  const written = boxes.map(({ x1, y1, x2, y2, classId }) => ({
    ...{ x1, y1, x2: x2 - 1, y2: y2 - 1, classIndex: indices.get(classId)!, difficult: false },
  }));
  return { name: stem, extension, sample: { id: stem, width, height, boxes: written, load } };
}
