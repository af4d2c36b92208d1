/**
 * How an image becomes the network's input: in the way in which its initial weights were trained. A run's configuration records
 * it, and so do the metadata of a checkpoint, so that a run that starts from the checkpoint does the same.
 */
import { UserError } from '../../engine/errors.ts';
import { readWeightsHeader } from '../../engine/node/weightsFile.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { DETECTRON2_INPUT, INPUT_FORMS, type InputForm } from '../../model/inputForms.ts';
import { INPUT } from '../storage/checkpointFormat.ts';
import { namedByDetectron2, namedByTorchvision } from '../storage/weightNames.ts';

/**
 * The form of the input. It is what `form` (bgr or rgb) says for this backbone. Without `form`, the file of initial weights
 * decides: a checkpoint by its metadata; weights with torchvision's names by these, if only torchvision publishes the backbone
 * under such names. Undefined leaves it as the preset has it.
 */
export function chooseInput(backbone: string, form?: string, init?: string): InputForm | undefined {
  const header = init === undefined ? undefined : readWeightsHeader(init); // read in any case, so that a bad file is reported at once
  if (form !== undefined) return formFor(backbone, form);
  if (init === undefined || header === undefined) return undefined;
  const { shapes, metadata } = header;
  if (metadata[INPUT] !== undefined) return parseInput(init, metadata[INPUT]);
  const isCheckpoint = metadata['step'] !== undefined;
  if (namedByDetectron2(Object.keys(shapes))) return DETECTRON2_INPUT;
  const { torchvisionNamesTellInput = false } = backboneNamed(backbone);
  const likeTorchvision = torchvisionNamesTellInput && !isCheckpoint && namedByTorchvision(Object.keys(shapes));
  return likeTorchvision ? INPUT_FORMS.rgb : undefined;
}

function formFor(backbone: string, form: string): InputForm {
  if (form !== 'bgr' && form !== 'rgb') throw new UserError(`--input ${form}: unknown; choose bgr or rgb`);
  const { input } = backboneNamed(backbone);
  return form === 'bgr' && input.channels === form ? input : INPUT_FORMS[form];
}

function parseInput(path: string, text: string): InputForm {
  const isTriple = (value: unknown): boolean =>
    Array.isArray(value) && value.length === 3 && value.every((n) => Number.isFinite(n));
  try {
    const { channels, mean, factor } = JSON.parse(text) as InputForm;
    if (['bgr', 'rgb'].includes(channels) && isTriple(mean) && isTriple(factor)) return { channels, mean, factor };
  } catch {
    // reported below
  }
  throw new UserError(`${path}: its metadata do not say how an image is prepared (${text}); give --input`);
}
