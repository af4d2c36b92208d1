/** Labels as they are read from the files of a data set that are in memory, not on the disk: what the readers of formats share. */
import type { AnnotatedImage, ReadContext } from '../annotated.ts';
import { printable } from '../text.ts';

export interface DataFiles {
  /** The data set, for messages. */
  source: string;
  /** Of all files, with '/' between folders. */
  paths: readonly string[];
  /** The content of a text file. */
  read(path: string): Uint8Array;
}

export interface FoundLabels {
  /** The format's own list; without it, the classes are those of the objects. */
  classes?: readonly string[];
  /** See AnnotatedSet. */
  inclusive?: boolean;
  /** `unlabelled`: nobody looked at it yet, as opposed to an image without objects. */
  images: (AnnotatedImage & { unlabelled?: boolean })[];
}

export interface LabelReader {
  /** Undefined if the files hold no labels in this format. Throws a UserError, which names the file, if one is damaged. */
  read(files: DataFiles, context: ReadContext): FoundLabels | undefined;
}

/** The name of a file in messages. */
export const placeIn = ({ source }: DataFiles, path: string): string => `${source}: ${printable(path)}`;

/** The first bytes of a file as text, to see what it is. */
export const beginningIn = (files: DataFiles, path: string): string =>
  new TextDecoder().decode(files.read(path).subarray(0, 65536));
