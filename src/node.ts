/** Node entry: everything of index.ts, and what needs Node: opening a device, files. */
export * from './index.ts';
export { openGpu, type OpenOptions } from './engine/node/open.ts';
export { loadSafetensors, saveSafetensors } from './engine/node/safetensorsFile.ts';
export { loadWeights } from './engine/node/weightsFile.ts';
export { loadModel } from './run/storage/loadModel.ts';
export { readImage } from './data/images.ts';
export { openDataset, registerFormat } from './data/registry.ts';
export { annotatedFormat, type AnnotatedFormat } from './data/annotatedFormat.ts';
export type { AnnotatedImage, AnnotatedObject, AnnotatedSet } from './data/annotated.ts';
export type { DataFormat } from './data/format.ts';
export type { OpenDatasetOptions } from './data/types.ts';
