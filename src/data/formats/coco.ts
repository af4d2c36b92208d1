/**
 * COCO's annotation files: `images`, `categories` and `annotations` in one JSON file, with the images in a folder. Also a folder
 * with one such file per split (Roboflow's train/_annotations.coco.json, annotations/instances_train2017.json).
 *
 * An annotation's bbox is x, y, width, height with fractions, counted from 0 (corners: `usableBox`). Classes are in the order
 * of `categories`, whose ids have gaps. Crowds (iscrowd) are not trained on. Variants that tools write are understood:
 * numbers and ids as strings, missing sizes, an outline (polygons or runs) without a bbox, an area of 0.
 * Images are in the order of their ids, as in COCO's own evaluation: among equal scores, their order decides.
 */
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { boundsOf, boundsOfRuns, type Point } from '../bounds.ts';
import { className } from '../classNames.ts';
import { WHOLE } from '../splitNames.ts';
import { firstIssue, readJsonFile } from '../jsonFile.ts';
import { folderExists, isImageFile } from '../imageFiles.ts';
import { attempt } from '../problems.ts';
import { beginningOf, printable } from '../textFile.ts';
import type { CocoId } from '../types.ts';
import { cocoWriter } from '../writers/coco.ts';

export const coco = annotatedFormat({
  name: 'coco',
  usage: 'coco:IMAGES,ANNOTATIONS.json',
  summary:
    "COCO: an image folder and a JSON file, or several pairs; or 'coco:PATH', a folder with a JSON file per split",
  writer: cocoWriter,
  sets: pairs,
  recognises(path) {
    if (!folderExists(path)) return looksLikeCoco(path) ? 0.8 : null;
    return annotationFiles(path).length > 0 ? 0.8 : null;
  },
  read: (paths, context) =>
    paths.length === 2 ? readPair(paths[0]!, paths[1]!, context) : readOne(paths[0]!, context),
});

/** A folder followed by a JSON file forms a pair with it; other paths stand alone. */
function pairs(paths: readonly string[]): string[][] | undefined {
  const isFile = (path: string | undefined): boolean => path !== undefined && /\.json$/i.test(path);
  const sets: string[][] = [];
  for (let i = 0; i < paths.length; i++) {
    const pair = !isFile(paths[i]) && isFile(paths[i + 1]);
    sets.push(pair ? [paths[i]!, paths[++i]!] : [paths[i]!]);
  }
  return sets.length > 0 ? sets : undefined;
}

/** Numbers in COCO's own files; some tools write names. */
export const cocoId = z.union([z.int(), z.string(), z.bigint()]);

/** A number, which some tools write as a string. */
const number = z.union([
  z.number(),
  z.nan(),
  z.literal(Infinity),
  z.literal(-Infinity),
  z
    .string()
    .regex(/^\s*[-+]?\d+(\.\d*)?([eE][-+]?\d+)?\s*$/)
    .transform(Number),
]);

/** JavaScript writes null for NaN. */
const coordinate = z.union([number, z.null().transform(() => NaN)]);

const annotation = z.object({
  id: cocoId.nullish(),
  image_id: cocoId,
  category_id: cocoId,
  bbox: z
    .union([z.tuple([coordinate, coordinate, coordinate, coordinate]), z.tuple([])], {
      error: 'must be four numbers, x, y, width and height',
    })
    .nullish(),
  area: number.nullish(),
  iscrowd: z.union([z.number(), z.boolean(), z.string()]).nullish(),
  segmentation: z.unknown().optional(),
});

const image = z.preprocess(
  // Names that some tools give to it instead.
  (one) => {
    const { file_name, filename, path } = (one ?? {}) as Record<string, unknown>;
    return typeof one === 'object' ? { ...one, file_name: file_name ?? filename ?? path } : one;
  },
  z.object({
    id: cocoId,
    file_name: z.string().trim().min(1),
    width: number.nullish(),
    height: number.nullish(),
  }),
);

/** Digits as class names are written as numbers by some tools. */
const categoryName = z.union([z.string().min(1), z.number().transform(String)]);

const annotationFile = z.object({
  images: z.array(z.unknown()),
  categories: z
    .array(z.object({ id: cocoId, name: categoryName, supercategory: z.unknown().optional() }), {
      error: 'is missing: it names the classes, [{"id": 1, "name": "cat"}, ...]',
    })
    .min(1),
  /** Missing in the files of COCO's test sets. */
  annotations: z.array(z.unknown()).optional(),
});

type Annotation = z.infer<typeof annotation>;

/** Ids are compared as strings: some tools write them as a number in one place and as a string in another. */
const key = (id: CocoId): string => String(id).trim();

/**
 * Polygons make up most of a file and are useless beside boxes; without them it is read in a third of the time. Inside a
 * JSON string the quotes would be escaped, so nothing there matches; and a match cannot run past its value, since a quote or
 * a brace comes before the next bracket.
 */
const POLYGONS = /"segmentation"\s*:\s*\[[-+.\deE,\s[\]]*\]/g;

const readFile = (path: string, outlines: boolean) =>
  readJsonFile(path, annotationFile, {
    expected: 'an annotation file of COCO with boxes (instances_*.json)',
    tooLarge: 'divide it, coco:IMAGES,A.json,IMAGES,B.json, or take its "segmentation" out',
    ...(!outlines && {
      shorten: (text: string) => text.replace(POLYGONS, (all) => (/\d/.test(all) ? '"segmentation":0' : all)),
    }),
  });

const hasBox = (annotation: unknown): boolean => {
  const { bbox } = (annotation ?? {}) as { bbox?: unknown };
  return Array.isArray(bbox) && bbox.length > 0;
};

function readPair(folder: string, path: string, context: ReadContext): AnnotatedSet {
  if (!folderExists(folder)) throw new UserError(`${folder}: no such folder; give coco:IMAGES,ANNOTATIONS.json`);
  return fileSet({ path, splits: [WHOLE], imageFolders: [folder] }, context, () => path);
}

/** A file with its images beside or beneath it, or a folder of files. */
function readOne(path: string, context: ReadContext): AnnotatedSet {
  if (!folderExists(path)) return readPair(dirname(path), path, context);
  const files = annotationFiles(path);
  if (files.length === 0) {
    throw new UserError(`${path}: holds no annotation file of COCO; give coco:IMAGES,ANNOTATIONS.json`);
  }
  const first = files.find(({ split }) => /^train/i.test(split)) ?? files[0]!;
  const where = {
    path,
    splits: files.length > 1 ? files.map(({ split }) => split) : [],
    imageFolders: [join(path, 'images'), path].filter(folderExists),
  };
  const fileOf = (split?: string) => files.find((one) => one.split === split) ?? first;
  const folderOf = (split?: string): string | undefined => {
    const one = fileOf(split);
    const beside = readdirSync(dirname(one.file)).some(isImageFile) ? [dirname(one.file)] : [];
    return [...beside, join(path, 'images', one.split), join(path, one.split)].find(folderExists);
  };
  return fileSet(where, context, (split) => fileOf(split).file, folderOf);
}

/** Each split has its own folder of images, whose names may repeat in other splits. */
const withFolder = (images: AnnotatedImage[], folder: string | undefined): AnnotatedImage[] =>
  folder === undefined ? images : images.map((image) => ({ ...image, folder }));

/** `fileOf` gives a split's annotation file, which is only read when something in it is needed. */
function fileSet(
  where: Pick<AnnotatedSet, 'path' | 'splits' | 'imageFolders'>,
  context: ReadContext,
  fileOf: (split?: string) => string,
  folderOf: (split?: string) => string | undefined = () => undefined,
): AnnotatedSet {
  const opened = new Map<string, CocoFile>();
  const open = (split?: string): CocoFile => {
    const file = fileOf(split);
    if (!opened.has(file)) opened.set(file, new CocoFile(file, context));
    return opened.get(file)!;
  };
  return {
    ...where,
    name: basename(where.path).replace(/\.json$/i, ''),
    get classes() {
      return open().classes;
    },
    get categoryIds() {
      return open().categoryIds;
    },
    images: (split) => withFolder(open(split).images(), folderOf(split)),
  };
}

const looksLikeCoco = (path: string): boolean =>
  /\.json$/i.test(path) && /^\s*\{[\s\S]*"(images|annotations|categories)"\s*:\s*\[/.test(beginningOf(path));

/** The annotation files of a folder, in its `annotations` or beside the images of each split, and the split of each. */
function annotationFiles(root: string): { split: string; file: string }[] {
  const list = (folder: string) => {
    try {
      return readdirSync(folder, { withFileTypes: true });
    } catch {
      return [];
    }
  };
  const within = (folder: string): string[] =>
    list(folder)
      .filter((entry) => !entry.isDirectory() && /\.json$/i.test(entry.name))
      .map((entry) => join(folder, entry.name))
      .filter(looksLikeCoco);
  const beneath = list(root)
    .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
    .flatMap(({ name }) => within(join(root, name)));
  const found = [...within(root), ...beneath];
  const instances = found.filter((file) => /^instances_/.test(basename(file)));
  return (instances.length > 0 ? instances : found)
    .map((file) => {
      const own = basename(file, '.json').replace(/^instances_|_?annotations(\.coco)?$|\.coco$/g, '');
      return { file, split: own === '' ? basename(dirname(file)) : own };
    })
    .sort((a, b) => (a.split < b.split ? -1 : 1));
}

/** One annotation file, whose annotations are read when first needed. */
class CocoFile {
  readonly classes: readonly string[];
  /** By the name of the class. */
  readonly categoryIds = new Map<string, CocoId>();
  readonly images: () => AnnotatedImage[];
  private readonly path: string;
  private readonly context: ReadContext;
  /** By `key` of the id. */
  private readonly names = new Map<string, string>();
  private read: AnnotatedImage[] | undefined;

  constructor(path: string, context: ReadContext) {
    this.path = path;
    this.context = context;
    let content = readFile(path, false);
    if (content.annotations?.some((one) => !hasBox(one))) content = readFile(path, true);
    const { images, categories, annotations = [] } = content;
    if (images.length === 0) throw this.wrong('"images" is empty; give another file');
    for (const { id, name } of categories) {
      const before = this.names.get(key(id));
      if (before !== undefined) throw this.wrong(`two of "categories" have the id ${key(id)}; change or remove one`);
      const tidy = className(name, `${path}: category ${printable(key(id))}`);
      this.names.set(key(id), tidy);
      if (!this.categoryIds.has(tidy)) this.categoryIds.set(tidy, id);
    }
    const used = new Set(annotations.map((one) => this.names.get(key((one as Annotation | null)?.category_id ?? ''))));
    const left = categories.filter(({ name }) => !used.has(className(name, path)) && isNoClass(name, categories));
    if (left.length > 0 && annotations.length > 0) {
      context.note(
        `${path}: category ${left.map(({ name }) => printable(name)).join(', ')} has no object and is not a class of its own: left out`,
      );
    }
    this.classes = [...this.categoryIds.keys()].filter(
      (name) => annotations.length === 0 || !left.some((category) => className(category.name, path) === name),
    );
    this.images = () => (this.read ??= this.readImages(images, annotations));
  }

  private wrong(what: string): UserError {
    return new UserError(`${this.path}: ${what}`);
  }

  private readImages(images: readonly unknown[], annotations: readonly unknown[]): AnnotatedImage[] {
    const { onProblem, tally, doubt } = this.context;
    const byId = new Map<string, AnnotatedImage>();
    const files = new Set<string>();
    images.forEach((one, i) =>
      attempt(onProblem, () => {
        const parsed = image.safeParse(one);
        if (!parsed.success) throw this.wrong(`images.${i}.${firstIssue(parsed.error)}; fix or remove it`);
        const { id, file_name, width, height } = parsed.data;
        if (byId.has(key(id)))
          throw this.wrong(`two of "images" have the id ${printable(key(id))}; change or remove one`);
        if (files.has(file_name)) {
          throw this.wrong(`two of "images" have the file_name ${printable(file_name)}; change or remove one`);
        }
        files.add(file_name);
        byId.set(key(id), {
          file: file_name,
          ...(width && height && width >= 1 && height >= 1 && { size: { width, height } }),
          objects: [],
          source: this.path,
          resultId: id,
        });
      }),
    );
    let corners = 0;
    const seen = new Set<string>();
    annotations.forEach((one, i) =>
      attempt(onProblem, () => {
        const parsed = annotation.safeParse(one);
        const id = (one as { id?: CocoId } | null)?.id;
        const what = `annotation ${id === undefined || id === null ? `number ${i + 1}` : printable(key(id))}`;
        if (!parsed.success) throw this.wrong(`${what}: ${firstIssue(parsed.error)}; fix or remove it`);
        const { image_id, category_id } = parsed.data;
        const of = byId.get(key(image_id));
        if (!of) {
          throw this.wrong(
            `${what} is of image ${printable(key(image_id))}, which is not in "images"; add or remove it`,
          );
        }
        const name = this.names.get(key(category_id));
        if (name === undefined) {
          throw this.wrong(
            `${what} is of category ${printable(key(category_id))}, which is not in "categories"; add or remove it`,
          );
        }
        const object = toObject(parsed.data, name, what);
        if (object) of.objects.push(object);
        else tally(`${this.path}: annotations without a box or an outline are left out`, what);
        if (object && !hasBox(one)) {
          tally(`${this.path}: for annotations without a box the bounds of their outline are taken`, what);
        }
        if (id !== undefined && id !== null) {
          if (seen.has(key(id))) doubt(`${this.path}: two annotations have the id ${printable(key(id))}`);
          seen.add(key(id));
        }
        if (object && looksLikeCorners(parsed.data, of.size)) corners++;
      }),
    );
    if (corners > 0) {
      doubt(
        `${this.path}: ${corners} of ${annotations.length} boxes look like x1, y1, x2, y2, but COCO's are x, y, width, height; look at them (rcnn check --pictures)`,
      );
    }
    return [...byId.values()].sort((a, b) => byIds(a.resultId!, b.resultId!));
  }
}

/** Roboflow's first category is the supercategory of the others; some tools list the background as a category. */
const isNoClass = (name: string, categories: readonly { name: string; supercategory?: unknown }[]): boolean =>
  /^_*(background|ignore)_*$/i.test(name.trim()) ||
  categories.some((other) => other.name !== name && other.supercategory === name);

const byIds = (a: CocoId, b: CocoId): number =>
  typeof a !== 'string' && typeof b !== 'string' ? (a < b ? -1 : Number(a > b)) : String(a) < String(b) ? -1 : 1;

/** Undefined if it has neither a box nor an outline. */
function toObject(
  { bbox, area, iscrowd, segmentation }: Annotation,
  className: string,
  what: string,
): AnnotatedObject | undefined {
  const given = bbox && bbox.length > 0 ? (bbox as [number, number, number, number]) : undefined;
  const outline = given ? undefined : outlineBounds(segmentation);
  if (!given && !outline) return undefined;
  const [x, y, w, h] = given ?? [outline![0], outline![1], outline![2] - outline![0], outline![3] - outline![1]];
  return {
    className,
    ...{ x1: x, y1: y, x2: x + w, y2: y + h },
    crowd: /^\s*(1|true)\s*$/i.test(String(iscrowd ?? 0)),
    // A new array: the schema's has spare capacity, and there may be a million of them.
    bbox: [x, y, w, h],
    // Many converters write 0 for an unknown area.
    ...(area != null && area > 0 && area < Infinity && { area }),
    what,
    written: `bbox [${[x, y, w, h].join(', ')}]`,
  };
}

/**
 * Whether a bbox makes sense as corners but not as a position and size: read as a size it leaves the image, read as corners
 * it lies inside; or, without an outline, its area is not the one in the file.
 */
function looksLikeCorners({ bbox, area, segmentation }: Annotation, size: AnnotatedImage['size']): boolean {
  if (!bbox || bbox.length === 0) return false;
  const [x, y, w, h] = bbox;
  if (!(w > x && h > y)) return false;
  const leaves = size && (x + w > size.width + 2 || y + h > size.height + 2) && w <= size.width && h <= size.height;
  const outlined =
    segmentation !== undefined && segmentation !== null && !(Array.isArray(segmentation) && segmentation.length === 0);
  const differs = area != null && area > 1 && Math.abs(area - w * h) > 0.02 * w * h;
  return Boolean(leaves) || (!outlined && differs);
}

/** Bounds of polygons [[x, y, x, y, ...], ...] or runs {size: [height, width], counts}. */
function outlineBounds(segmentation: unknown): [number, number, number, number] | undefined {
  if (Array.isArray(segmentation)) {
    const polygons = segmentation.every((part) => typeof part === 'number') ? [segmentation] : segmentation;
    const points = polygons.flatMap((polygon: unknown): Point[] => {
      const values = Array.isArray(polygon) ? polygon.map(Number) : [];
      return Array.from({ length: Math.floor(values.length / 2) }, (_, i) => [values[2 * i]!, values[2 * i + 1]!]);
    });
    return points.length > 0 ? boundsOf(points) : undefined;
  }
  const runs = z
    .object({
      size: z.tuple([z.int().positive(), z.int().positive()]),
      counts: z.union([z.string(), z.array(z.number())]),
    })
    .safeParse(segmentation);
  return runs.success ? boundsOfRuns(runs.data.counts, runs.data.size[0]) : undefined;
}
