/** The names by which the command line opens images with one label each. */
import { resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { openImageFolder } from './imageFolder.ts';
import { openMnist } from './mnist.ts';
import type { LabelledOptions, LabelledImages } from './types.ts';

/** Opens `mnist` or `folder:PATH`. */
export async function openLabelled(spec: string, options: LabelledOptions): Promise<LabelledImages> {
  const path = /^folder:(.+)$/s.exec(spec)?.[1];
  if (spec === 'mnist') return openMnist(options);
  if (path !== undefined) return openImageFolder(path, options);
  throw new UserError(`--data ${spec}: not a data set of labelled images; give 'mnist' or 'folder:PATH'`);
}

/** The same data with an absolute path, so that a run can be resumed from any folder. */
export const absoluteLabelled = (spec: string): string =>
  spec.replace(/^folder:(.+)$/s, (_, path: string) => `folder:${resolve(path)}`);
