/** onnxruntime-node with its CPU execution provider. */
import type { Engine } from './engine.ts';
import { openOn } from './onnxruntime.ts';

export const open = (folder: string): Promise<Engine> => openOn('cpu', folder);
