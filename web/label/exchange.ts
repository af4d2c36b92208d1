/** The project as a data set in one zip file: the pictures as they were added, and their labels in a format that other tools read. */
import { strFromU8, strToU8, unzipSync, Zip, ZipDeflate, ZipPassThrough } from 'fflate';
import { type LabelFormat, UserError, type WrittenImage, type WrittenSplit, writeLabels } from '../../src/index.ts';
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

/** A picture of a data set that is read. */
export interface ImportedPicture {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  boxes: { className: string; x1: number; y1: number; x2: number; y2: number }[];
}

/** COCO's annotations, as far as they are needed here. */
interface Coco {
  images: { id: number; file_name: string }[];
  categories: { id: number; name: string }[];
  annotations: { image_id: number; category_id: number; bbox: number[] }[];
}

/**
 * Reads a data set that was exported as COCO, or another zip file with one COCO file and its images. Throws one line that says
 * what is wrong with it.
 */
export function importCoco(zip: Uint8Array, source: string): { classes: string[]; pictures: ImportedPicture[] } {
  let files: Record<string, Uint8Array<ArrayBuffer>>;
  try {
    files = unzipSync(zip) as typeof files;
  } catch {
    throw new UserError(`${source}: is not a zip file, or is cut off; export it again`);
  }
  const path = Object.keys(files).find((name) => /\.json$/i.test(name));
  if (path === undefined) throw new UserError(`${source}: holds no COCO file (.json); export the labels as COCO`);
  const wrong = (what: string): UserError => new UserError(`${source}: ${path}: ${what}`);
  let content: Partial<Coco> | null;
  try {
    content = JSON.parse(strFromU8(files[path]!)) as Partial<Coco> | null;
  } catch {
    throw wrong('is not JSON');
  }
  const lists = [content?.images, content?.categories, content?.annotations];
  if (!lists.every((list) => Array.isArray(list) && list.every((one) => typeof one === 'object' && one !== null))) {
    throw wrong('is not a COCO file: it needs images, categories and annotations');
  }
  const { images, categories, annotations } = content as Coco;
  const names = new Map(categories.map(({ id, name }) => [id, String(name)]));
  const boxes = new Map(images.map(({ id }) => [id, [] as ImportedPicture['boxes']]));
  for (const { image_id, category_id, bbox } of annotations) {
    const [x, y, width, height] = bbox ?? [];
    const className = names.get(category_id);
    if (![x, y, width, height].every(Number.isFinite))
      throw wrong(`a bbox is not four numbers: ${JSON.stringify(bbox)}`);
    if (className === undefined) throw wrong(`an annotation is of category ${category_id}, which is not listed`);
    boxes.get(image_id)?.push({ className, x1: x!, y1: y!, x2: x! + width!, y2: y! + height! });
  }
  const pictures = images.map(({ id, file_name: file }): ImportedPicture => {
    if (typeof file !== 'string') throw wrong(`the image ${id} has no file_name`);
    const found = Object.keys(files).find((name) => name === file || name.endsWith(`/${file}`));
    if (found === undefined) throw wrong(`the image ${file} is not in the zip file`);
    return { name: file.split('/').at(-1)!, bytes: files[found]!, boxes: boxes.get(id)! };
  });
  return { classes: [...names.values()], pictures };
}
