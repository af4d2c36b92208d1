/** Pictures with one label each, to train a classifier, and the names by which the command line opens them. */
import { UserError } from '../engine/errors.ts';
import type { Picture } from './dataset.ts';
import { openImageFolder } from './imageFolder.ts';
import { openMnist } from './mnist.ts';

export interface LabelledPicture {
  id: string;
  /** An index into `classes`. */
  label: number;
  /** Decodes (or draws) the picture; throws a UserError that names the file. */
  load(): Promise<Picture>;
}

export interface LabelledPictures {
  name: string;
  classes: string[];
  train: LabelledPicture[];
  val: LabelledPicture[];
  /** Whether part of a picture, or its mirror image, is still one of the same class: false for digits. */
  augment: boolean;
}

export interface LabelledOptions {
  /** Side of the pictures that the network takes: generated ones are drawn so large. */
  size: number;
  /** Of generated pictures. */
  seed: number;
  /** Whether to look at the beginning of every file: a resumed run has done so. */
  check: boolean;
}

/** Opens `mnist` or `folder:PATH`. */
export async function openLabelled(spec: string, options: LabelledOptions): Promise<LabelledPictures> {
  const path = /^folder:(.+)$/s.exec(spec)?.[1];
  if (spec === 'mnist') return openMnist(options);
  if (path !== undefined) return openImageFolder(path, options);
  throw new UserError(`--data ${spec}: not a data set of labelled images; give 'mnist' or 'folder:PATH'`);
}

/** A square of a picture, in pixels. */
export interface Crop {
  left: number;
  top: number;
  side: number;
}

export function crop({ width, rgba }: Picture, { left, top, side }: Crop): Picture {
  const part = new Uint8Array(4 * side * side);
  for (let y = 0; y < side; y++) {
    const from = 4 * ((top + y) * width + left);
    part.set(rgba.subarray(from, from + 4 * side), 4 * y * side);
  }
  return { width: side, height: side, rgba: part };
}
