/** What the networks of detectors are traced with; the model takes images and regions of any number. */
import type { Tensor } from '../engine/tensor.ts';
import type { PreparedImage } from '../model/detector.ts';
import type { OnnxGraph, Value } from './graph.ts';
import type { TracedTensor } from './network.ts';

const SIDE = 224;
const REGIONS = 8;

/** A prepared image, float [1, 3, height, width]. */
export const tracedImage = (value: Value): { pixels: TracedTensor } => ({
  pixels: { shape: [1, 3, SIDE, SIDE], free: { 2: 'height', 3: 'width' }, value },
});

/** The image of a trace as a detector takes it. */
export function preparedImage(tensor: Tensor): PreparedImage {
  const [height, width] = tensor.shape.slice(2) as [number, number];
  return { tensor, height, width, scale: 1, original: { height, width } };
}

/** Regions of that image, float [regions, 4]. */
export const tracedRois = (graph: OnnxGraph, rois: Value): TracedTensor => ({
  shape: [REGIONS, 5],
  free: { 0: 'regions' },
  value: graph.node('Pad', [rois, graph.ints([0, 1, 0, 0])]), // the number of the image
});
