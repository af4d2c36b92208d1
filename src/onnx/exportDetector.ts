/**
 * A detector as an ONNX model, from the pixels of an image to its objects: resizing, network, proposals and suppression, in
 * standard operators.
 *
 *   image uint8 [height, width, 3], R, G, B
 *   boxes float [objects, 4]: x1, y1, x2, y2, pixels of the image; scores float [objects]; labels int64 [objects]; best first
 */
import { UserError } from '../engine/errors.ts';
import { type Detector, systemOf } from '../model/detector.ts';
import { FasterRcnn } from '../model/fasterRcnn.ts';
import { PyramidRcnn } from '../model/pyramidRcnn.ts';
import { OnnxGraph } from './graph.ts';
import { mapDetector } from './mapDetector.ts';
import { NetworkGraph } from './network.ts';
import { type OnnxExportOptions, type OnnxModel, serializeOnnx, standardOperators } from './proto.ts';
import { pyramidDetector } from './pyramidDetector.ts';

/**
 * The bytes of an ONNX file (opset 17, no operators of its own, any image size). The names of the classes are in its metadata
 * (`classes`, JSON; `labels` counts from the background, 0). Throws a UserError for a detector that ONNX has no form for.
 */
export async function exportOnnx(
  detector: Detector,
  options: OnnxExportOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return serializeOnnx(await onnxModel(detector, options));
}

export async function onnxModel(detector: Detector, { version = '' }: OnnxExportOptions = {}): Promise<OnnxModel> {
  const { config, gpu } = detector;
  if (!(detector instanceof FasterRcnn || detector instanceof PyramidRcnn)) {
    throw new UserError(`detector.system ${systemOf(config)} cannot be exported to ONNX yet; faster-rcnn can`);
  }
  if (config.input.scales) {
    throw new UserError(
      'detector.input.scales: a detector at several scales cannot be exported to ONNX; take a run without them',
    );
  }
  if (config.precision === 'f16')
    throw new UserError('a model in half precision cannot be exported to ONNX; load it in f32');
  if (config.rpn.test.without !== 'nothing') {
    throw new UserError(
      `rpn.test.without ${config.rpn.test.without} is for experiments and cannot be exported to ONNX`,
    );
  }
  const graph = new OnnxGraph();
  graph.reserve(['image', 'boxes', 'scores', 'labels']);
  const network = new NetworkGraph(graph, gpu);
  const objects =
    detector instanceof FasterRcnn
      ? await mapDetector(graph, network, detector, 'image')
      : await pyramidDetector(graph, network, detector, 'image');
  for (const [name, value] of Object.entries(objects)) graph.rename(value, name);
  await network.addParameters();
  return {
    ...standardOperators(version),
    metadata: { classes: JSON.stringify(config.classes) },
    name: config.backbone,
    nodes: graph.nodes,
    tensors: graph.tensors,
    inputs: [{ name: 'image', type: 'uint8', dims: ['height', 'width', 3] }],
    outputs: [
      { name: 'boxes', type: 'float', dims: ['objects', 4] },
      { name: 'scores', type: 'float', dims: ['objects'] },
      { name: 'labels', type: 'int64', dims: ['objects'] },
    ],
  };
}
