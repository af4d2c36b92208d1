/** The backbones by name. */
import type { BackboneBuilder } from './backbone.ts';
import { small } from './small.ts';
import { squeezenet } from './squeezenet.ts';
import { vgg16 } from './vgg16.ts';
import { zf } from './zf.ts';

export const BACKBONES: Readonly<Record<string, BackboneBuilder>> = { small, squeezenet1_1: squeezenet, vgg16, zf };
