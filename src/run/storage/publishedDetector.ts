/**
 * Detectors that torchvision or detectron2 published, from their files of weights alone: the names and shapes of the tensors show
 * which network it is, its classes are those of COCO's lists, and everything else is as in torchvision's functions or
 * detectron2's configurations.
 */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { allFinite } from '../../engine/integrity.ts';
import type { Safetensors } from '../../engine/safetensors.ts';
import { wholeParameters, writeWhole } from '../../engine/shards.ts';
import { parseWeights } from '../../engine/weightsFile.ts';
import { BACKBONES } from '../../model/backbones/index.ts';
import type { BackboneDescriptor } from '../../model/backbones/backbone.ts';
import type { Marks, Publisher } from '../../model/backbones/pyramid.ts';
import { classesOf } from '../../model/cocoClasses.ts';
import type { DetectorConfig } from '../../model/config.ts';
import type { Detector } from '../../model/detector.ts';
import { makeDetector } from '../../model/detectors.ts';
import { detectron2Detector, pyramidDetector } from '../config/presets.ts';
import { fitWeights } from './weightNames.ts';

type Shapes = Readonly<Record<string, readonly number[]>>;

/** Of the tensors of a file that has been read. */
export const shapesOf = ({ tensors }: Safetensors): Shapes =>
  Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));

const SCORES = 'roi_heads.box_predictor.cls_score.weight';

const isMarked = (shapes: Shapes, marks: Marks | undefined): boolean =>
  marks !== undefined &&
  Object.entries(marks).every(([name, shape]) =>
    shape === null ? !Object.hasOwn(shapes, name) : shapes[name]?.join() === shape.join(),
  );

/**
 * Added to the variance in batch normalisation. The files of 2019 were trained without it, as torchvision's functions know when
 * they load them: those of frozen normalisation with the RPN's names of that time.
 */
const epsilonOf = (shapes: Shapes): number => {
  const names = Object.keys(shapes);
  const trained = names.some((name) => name.endsWith('.num_batches_tracked'));
  return Object.hasOwn(shapes, 'rpn.head.conv.weight') && !trained ? 0 : 1e-5;
};

/**
 * The configuration of the detector whose tensors have these names and shapes. Throws a UserError, which begins with `source`,
 * where it is none that is known. `classes`: their names, without the background.
 */
export function publishedDetector(shapes: Shapes, source: string, classes?: readonly string[]): DetectorConfig {
  const known = [...BACKBONES.values()];
  const markedBy = (publisher: Publisher): BackboneDescriptor[] =>
    known.filter(({ pyramid }) => isMarked(shapes, pyramid?.marks[publisher]));
  const [detectron2] = markedBy('detectron2');
  const marked = detectron2 ? [detectron2] : markedBy('torchvision');
  // Two that differ in their recipe alone are told apart by the name under which torchvision publishes the file.
  const backbone = marked.find(({ name }) => source.includes(name)) ?? marked[0];
  const scores = shapes[SCORES];
  if (!backbone || !scores) {
    const by = (publisher: Publisher, prefix: string): string =>
      known.flatMap(({ name, pyramid }) => (pyramid?.marks[publisher] ? [prefix + name] : [])).join(', ');
    const names = `torchvision's ${by('torchvision', 'fasterrcnn_')} or detectron2's ${by('detectron2', '')}`;
    const what = scores ? 'a detector of another architecture' : 'no whole detector';
    throw new UserError(
      `${source}: holds ${what}; detectors that need no run directory are ${names}; other weights can start a training (--init)`,
    );
  }
  return {
    ...(detectron2 ? detectron2Detector(backbone) : pyramidDetector(backbone)),
    classes: classesOf(scores[0]!, source, classes),
    batchNorm: { training: false, epsilon: detectron2 ? 1e-5 : epsilonOf(shapes) },
  };
}

/** The network of `config` with the weights of such a file. Every parameter must be in it and be finite. */
export function makePublishedDetector(gpu: Gpu, config: DetectorConfig, file: Safetensors, source: string): Detector {
  const model = makeDetector(gpu, config, 0);
  try {
    const parameters = wholeParameters(model.parameters);
    const { taken, misfits } = fitWeights(file, {
      parameters,
      publishedNames: {},
      classes: config.classes,
      targetStds: config.head.targetStds,
    });
    for (const [name, whole] of Object.entries(parameters)) {
      const found = taken.get(name);
      const misfit = misfits.find((other) => other.name === name);
      if (!found)
        throw new UserError(
          `${source}: ${misfit ? `${misfit.from} ${misfit.why}` : `lacks ${name}`}; fetch or save it again`,
        );
      if (!allFinite(found.data)) throw new UserError(`${source}: ${found.from} is not finite; fetch or save it again`);
      writeWhole(whole, found.data);
    }
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/**
 * The detector of such a file from its bytes, PyTorch's, numpy's or a safetensors file's: in a browser, or wherever they come from.
 * `source` is the file's name: it begins messages, and tells files apart that only differ in their recipe.
 */
export function loadPublished(gpu: Gpu, bytes: Uint8Array, source: string, classes?: readonly string[]): Detector {
  const file = parseWeights(bytes, source);
  return makePublishedDetector(gpu, publishedDetector(shapesOf(file), source, classes), file, source);
}
