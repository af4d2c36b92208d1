/** The backbones by name. */
import type { BackboneBuilder } from './backbone.ts';
import { small } from './small.ts';
import { squeezenet } from './squeezenet.ts';
import { vgg16 } from './vgg16.ts';
import { zf } from './zf.ts';

/** Pixels of the image per cell of their maps, for those who have no device to build one. */
export const STRIDES: Readonly<Record<string, number>> = { small: 4, squeezenet1_1: 16, vgg16: 16, zf: 16 };

export const BACKBONES: Readonly<Record<string, BackboneBuilder>> = { small, squeezenet1_1: squeezenet, vgg16, zf };
