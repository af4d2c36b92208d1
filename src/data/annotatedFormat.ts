/** Formats of annotation files: turns what their readers return into data sets, by the same rules for all formats. */
import { join } from 'node:path';
import { isInputError, UserError } from '../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from './annotated.ts';
import { BadBoxes, usableBox } from './badBoxes.ts';
import { alikeNames, BACKGROUND, className } from './classNames.ts';
import { DRAWN_SPLITS, drawSplits } from './drawnSplits.ts';
import { type DataFormat } from './format.ts';
import { ImageFinder, tidyPath } from './imageFiles.ts';
import { IMAGE_EXTENSIONS, stemOf } from './imageNames.ts';
import { checkImage, fileLoader } from './images.ts';
import { Notes } from './notes.ts';
import { attempt } from './problems.ts';
import { namedSplit, WHOLE } from './splitNames.ts';
import { printable } from './text.ts';
import type { AnnotatedBox, Dataset, OpenDatasetOptions, Sample } from './types.ts';
import { unite } from './union.ts';
import { eachAtOnce } from './atOnce.ts';

export interface AnnotatedFormat extends Pick<
  DataFormat,
  'name' | 'usage' | 'summary' | 'sets' | 'recognises' | 'writer'
> {
  /** Reads one data set, given its paths. Throws a UserError if they do not hold one. */
  read(paths: readonly string[], context: ReadContext): AnnotatedSet;
}

export function annotatedFormat({ read, ...format }: AnnotatedFormat): DataFormat {
  const quiet: ReadContext = { onProblem: () => {}, note: () => {}, tally: () => {}, doubt: () => {} };
  const splits = (sets: readonly string[][]): readonly string[] => {
    const [first = [], ...others] = sets.map((paths) => partsOf(read(paths, quiet)));
    return first.filter((split) => others.every((splits) => splits.includes(split)));
  };
  return {
    ...format,
    splits,
    usualSplit: (sets, wanted) => namedSplit(splits(sets), wanted),
    async open(sets, options) {
      const opened: Dataset[] = [];
      let { classes } = options;
      for (const paths of sets) {
        const notes = new Notes();
        const set = read(paths, { onProblem: options.onProblem, ...notes.context });
        const one = await openSet(set, { ...options, classes }, notes);
        if (set.classes) classes = one.classes.slice(1); // later sets must have the classes of the first
        opened.push(one);
      }
      return unite(opened, classes);
    },
  };
}

const partsOf = ({ splits }: AnnotatedSet): readonly string[] =>
  splits.length > 0 ? splits : [...DRAWN_SPLITS, WHOLE];

async function openSet(set: AnnotatedSet, options: OpenDatasetOptions, notes: Notes): Promise<Dataset> {
  const { split, onProblem } = options;
  const { note } = notes.context;
  const images = imagesOf(set, options, note);
  const classes = options.classes ?? classesOf(set, images);
  if (options.classes === undefined && !hasObject(images) && !hasObject(set.images())) {
    const [why] = notes.all;
    throw new UserError(
      `${set.path}: has no annotated object${why === undefined ? '' : ` (${why})`}; there is nothing to learn`,
    );
  }
  for (const [one, other] of alikeNames(classes)) {
    note(
      `${set.path}: classes '${one}' and '${other}' differ only in how they are written; rename one if they are the same`,
    );
  }
  attempt(onProblem, () => assertPixels(images, set));
  const located = await locate(images, set, options, notes.context);
  const bad = new BadBoxes(options.onBadBox);
  const classIndex = new Map(classes.map((name, i) => [className(name, set.path), i + 1]));
  const categories = [undefined, ...classes.map((name) => set.categoryIds?.get(className(name, set.path)))];
  const ids = idsOf(images);
  const samples = located.flatMap(({ image, file, size, problem, orientation = 1 }): Sample[] => {
    if (file !== undefined && size && orientation >= 5) {
      const asShown = attempt(onProblem, () => (assertShown(image, file, size, set), true));
      if (!asShown) return [];
    }
    const boxes = size
      ? image.objects.flatMap(
          (object) => attempt(onProblem, () => toBox(object, image, size, set, classIndex, classes, bad)) ?? [],
        )
      : [];
    if (problem !== undefined) onProblem!(problem);
    if (file === undefined || size === undefined) return [];
    const { resultId } = image;
    return [
      {
        id: ids.get(image)!,
        width: size.width,
        height: size.height,
        boxes,
        file,
        ...(resultId !== undefined && { resultIds: { image: resultId, categories } }),
        ...fileLoader(file, size, image.source, image.size !== undefined),
      },
    ];
  });
  for (const line of bad.notes()) note(set.splits.length > 1 ? `split '${split}': ${line}` : line);
  const unknown = set.categoryIds ? classes.filter((name) => !set.categoryIds!.has(className(name, set.path))) : [];
  if (unknown.length > 0)
    note(`${set.path}: has no category ${unknown.join(', ')}: result files leave out its detections`);
  return {
    name: set.name,
    classes: [BACKGROUND, ...classes],
    samples,
    flippable: true,
    notes: notes.all,
    doubts: notes.doubts,
  };
}

interface LocatedImage {
  image: AnnotatedImage;
  /** If undefined, `problem` says why. */
  file?: string;
  size?: { width: number; height: number };
  /** EXIF's orientation, if the size was read from the image. */
  orientation?: number;
  problem?: string;
}

/** How many image headers are read at the same time. */
const SIZES_AT_ONCE = 16;

/** Finds the file of each image, and its size: the annotated one, or else the file's own. */
async function locate(
  images: readonly AnnotatedImage[],
  set: AnnotatedSet,
  { split, onProblem, allowOutside = false }: OpenDatasetOptions,
  { tally }: Pick<ReadContext, 'tally'>,
): Promise<LocatedImage[]> {
  const finder = new ImageFinder(set.imageFolders, allowOutside);
  const located = images.map((image): LocatedImage => {
    const entry: LocatedImage = { image, size: image.size };
    const take = onProblem && ((problem: string): void => void (entry.problem = problem));
    const found = attempt(take, () => findImageFile(finder, image, set, split));
    if (found?.elsewhere) {
      tally(
        `${set.path}: images found in another folder than the one written`,
        `${printable(image.file)} is ${found.path}`,
      );
    }
    return { ...entry, file: found?.path };
  });
  const unsized = located.filter(({ file, size }) => file !== undefined && size === undefined);
  await eachAtOnce(unsized, SIZES_AT_ONCE, async (entry) => {
    try {
      const { orientation, ...size } = await checkImage(entry.file!);
      Object.assign(entry, { size, orientation });
    } catch (error) {
      if (!onProblem || !isInputError(error)) throw error;
      entry.problem = error.message;
    }
  });
  return located;
}

const hasObject = (images: readonly AnnotatedImage[]): boolean => images.some(({ objects }) => objects.length > 0);

/** Throws if no box reaches beyond the first pixel: its coordinates are fractions of the image then. */
function assertPixels(images: readonly AnnotatedImage[], { path }: AnnotatedSet): void {
  const objects = images.flatMap(({ objects, fractions = false }) => (fractions ? [] : objects));
  if (objects.length === 0 || !objects.every(({ x2, y2 }) => x2 <= 1 && y2 <= 1)) return;
  throw new UserError(
    `${path}: no box reaches beyond the first pixel, so the coordinates seem to be fractions of the image; multiply them by its width and height`,
  );
}

/** The images of a split, which is drawn if the data set has no splits of its own. */
function imagesOf(
  set: AnnotatedSet,
  { split, splitSeed = 0 }: OpenDatasetOptions,
  note: (text: string) => void,
): AnnotatedImage[] {
  const known = partsOf(set);
  if (!known.includes(split)) {
    throw new UserError(`--split ${split}: ${set.path} has no such split; it has ${known.join(', ')}`);
  }
  if (set.splits.length > 0) return set.images(split);
  const images = set.images();
  if (split === WHOLE) return images;
  const ids = idsOf(images);
  const { splitOf, grouped } = drawSplits([...ids.values()], splitSeed);
  const drawn = images.filter((image) => splitOf.get(ids.get(image)!) === split);
  note(
    `${set.path}: has no splits of its own: ${drawn.length} of its ${images.length} images are '${split}', drawn 60/20/20 with --split-seed ${splitSeed}${grouped ? '; frames of one video and copies of one image stay together' : ''}`,
  );
  if (drawn.length === 0) {
    throw new UserError(`--split ${split}: ${set.path} has too few images (${images.length}) to draw it; add some`);
  }
  return drawn;
}

/** The format's own list, or the classes of the objects in all splits, so that every split numbers them alike. */
function classesOf(set: AnnotatedSet, images: readonly AnnotatedImage[]): string[] {
  if (set.classes) return [...set.classes];
  const names = new Set<string>();
  for (const { objects, source } of [...images, ...set.images()]) {
    for (const { className: name, what } of objects) {
      attempt(
        () => {}, // problems are reported when the object itself is read
        () => names.add(className(name, `${source}: ${what}`)),
      );
    }
  }
  return [...names].sort();
}

/** The name of each image: its own, or its file name, without the extension if that is unique. */
function idsOf(images: readonly AnnotatedImage[]): Map<AnnotatedImage, string> {
  const files = images.map(({ file }) => tidyPath(file));
  const counts = new Map<string, number>();
  for (const file of files) counts.set(stemOf(file), (counts.get(stemOf(file)) ?? 0) + 1);
  return new Map(
    images.map((image, i) => {
      const stem = stemOf(files[i]!);
      return [image, image.id ?? (counts.get(stem) === 1 ? stem : files[i]!)];
    }),
  );
}

function findImageFile(finder: ImageFinder, image: AnnotatedImage, set: AnnotatedSet, split: string) {
  const { file, folder: own, alternatives = [], source } = image;
  const found = finder.find([file, ...alternatives], own);
  if (found) return found;
  const folder = own ?? set.imageFolders[0] ?? set.path;
  const listed = set.splits.length > 1 ? `split '${split}' lists it` : `${source} has it`;
  throw new UserError(
    `${join(folder, printable(file))}${stemOf(file) === file ? '.*' : ''}: no such image (${IMAGE_EXTENSIONS.join(', ')}), though ${listed}; add it, or choose the folder that has it`,
  );
}

/** Throws if a turned image has no annotated size and its boxes only fit the pixels as stored. */
function assertShown(
  { objects, fractions = false, source }: AnnotatedImage,
  file: string,
  { width, height }: { width: number; height: number },
  { inclusive = false }: AnnotatedSet,
): void {
  if (fractions) return;
  const fit = (size: { width: number; height: number }): boolean =>
    objects.every((object) => typeof usableBox(object, size, { inclusive }) !== 'string');
  if (fit({ width, height }) || !fit({ width: height, height: width })) return;
  throw new UserError(
    `${file}: is displayed as ${width}x${height}, turned by its EXIF orientation, but the boxes in ${source} only fit ${height}x${width}: they refer to the pixels as stored; annotate the image as displayed, or remove the orientation from the file`,
  );
}

/** The box of an object in pixels of the image; undefined if it is unusable and was left out. */
function toBox(
  object: AnnotatedObject,
  { source, fractions = false }: AnnotatedImage,
  size: { width: number; height: number },
  { inclusive = false }: AnnotatedSet,
  classIndex: ReadonlyMap<string, number>,
  classes: readonly string[],
  bad: BadBoxes,
): AnnotatedBox | undefined {
  const { what, written, difficult = false, crowd, bbox, area } = object;
  const name = className(object.className, `${source}: ${what}`);
  const index = classIndex.get(name);
  if (index === undefined) {
    throw new UserError(
      `${source}: ${what} is of class '${printable(name)}', which is not one of ${classes.join(', ')}; rename or remove it, or choose data with these classes`,
    );
  }
  const box = usableBox(object, size, { inclusive, fractions });
  if (typeof box === 'string') {
    bad.add(`${source}: ${what} (${printable(name)}): ${written} ${box}`);
    return undefined;
  }
  return {
    ...box,
    classIndex: index,
    difficult,
    ...(crowd !== undefined && { crowd }),
    ...(bbox && { bbox, area: area ?? bbox[2] * bbox[3] }),
  };
}
