/**
 * COCO's annotation files, without the disk. An annotation's bbox is x, y, width, height with fractions, counted from 0 (corners:
 * `usableBox`). Classes are in the order of `categories`, whose ids have gaps. Crowds (iscrowd) are not trained on. Variants that
 * tools write are understood: numbers and ids as strings, missing sizes, an outline (polygons or runs) without a bbox, an area of 0.
 * Images are in the order of their ids, as in COCO's own evaluation: among equal scores, their order decides.
 */
import * as z from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, ReadContext } from '../annotated.ts';
import { boundsOf, boundsOfRuns, type Point } from '../bounds.ts';
import { className } from '../classNames.ts';
import { firstIssue, type JsonOptions, parseJson } from '../json.ts';
import { attempt } from '../problems.ts';
import { decodeText, printable } from '../text.ts';
import type { CocoId } from '../types.ts';
import { beginningIn, type LabelReader, placeIn } from './reader.ts';

/** Whether a JSON file is one of COCO's, by how it begins. */
export const beginsLikeCoco = (beginning: string): boolean =>
  /^\s*\{[\s\S]*"(images|annotations|categories)"\s*:\s*\[/.test(beginning);

/** Every file of annotations, such as one for each split; the classes are those of the first. */
export const cocoReader: LabelReader = {
  read(files, context) {
    const found = files.paths.filter((path) => /\.json$/i.test(path) && beginsLikeCoco(beginningIn(files, path)));
    if (found.length === 0) return undefined;
    const sets = found.map((path) => {
      const place = placeIn(files, path);
      const text = decodeText(files.read(path), place);
      return new CocoAnnotations(place, context, (options) => parseJson(text, place, cocoFile, options));
    });
    return {
      classes: [...new Set(sets.flatMap(({ classes }) => classes))],
      images: sets.flatMap((set, i) => {
        // Images of several splits may have the same names, each in a folder of its own.
        const [folder, split] = [found[i]!.replace(/[^/]*$/, ''), splitOfFile(found[i]!)];
        return set.images().map((image) => ({
          ...image,
          file: `${folder}${image.file}`,
          alternatives: [`images/${split}/${image.file}`, `${split}/${image.file}`, image.file],
        }));
      }),
    };
  },
};

/** The split of a file of annotations, by its name or its folder's. */
export function splitOfFile(path: string): string {
  const [name, folder = ''] = path.split(/[\\/]/).reverse() as [string, string?];
  const own = name.replace(/\.json$/, '').replace(/^instances_|_?annotations(\.coco)?$|\.coco$/g, '');
  return own === '' ? folder : own;
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

export const cocoFile = z.object({
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
type CocoContent = z.infer<typeof cocoFile>;

/** Ids are compared as strings: some tools write them as a number in one place and as a string in another. */
const key = (id: CocoId): string => String(id).trim();

/**
 * Polygons make up most of a file and are useless beside boxes; without them it is read in a third of the time. Inside a
 * JSON string the quotes would be escaped, so nothing there matches; and a match cannot run past its value, since a quote or
 * a brace comes before the next bracket.
 */
const POLYGONS = /"segmentation"\s*:\s*\[[-+.\deE,\s[\]]*\]/g;

const OPTIONS: JsonOptions = { expected: 'an annotation file of COCO with boxes (instances_*.json)' };
const WITHOUT_OUTLINES: JsonOptions = {
  ...OPTIONS,
  shorten: (text) => text.replace(POLYGONS, (all) => (/\d/.test(all) ? '"segmentation":0' : all)),
};

const hasBox = (annotation: unknown): boolean => {
  const { bbox } = (annotation ?? {}) as { bbox?: unknown };
  return Array.isArray(bbox) && bbox.length > 0;
};

/**
 * One annotation file, whose annotations are read when first needed. `load` parses it by `options`, which leave outlines out unless
 * boxes are missing; every message names the file, by `path`.
 */
export class CocoAnnotations {
  readonly classes: readonly string[];
  /** By the name of the class. */
  readonly categoryIds = new Map<string, CocoId>();
  readonly images: () => AnnotatedImage[];
  private readonly path: string;
  private readonly context: ReadContext;
  /** By `key` of the id. */
  private readonly names = new Map<string, string>();
  private read: AnnotatedImage[] | undefined;

  constructor(path: string, context: ReadContext, load: (options: JsonOptions) => CocoContent) {
    this.path = path;
    this.context = context;
    let content = load(WITHOUT_OUTLINES);
    if (content.annotations?.some((one) => !hasBox(one))) content = load(OPTIONS);
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
