/**
 * How a picture becomes the network's input: as its initial weights were trained. A run's configuration records it, and a
 * checkpoint's metadata, so that a run that starts from it does likewise.
 */
import { UserError } from '../../engine/errors.ts';
import { readSafetensorsHeader } from '../../engine/node/files.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { INPUT_FORMS, type InputForm } from '../../model/inputForms.ts';
import { INPUT } from '../storage/checkpointFormat.ts';
import { namedByTorchvision } from '../storage/weightNames.ts';

/**
 * What `form` (bgr or rgb) says for this backbone, else what the file of initial weights does: a checkpoint by its metadata,
 * weights with torchvision's names by these, where the backbone is published under them by torchvision alone. Undefined: as
 * the preset has it.
 */
export function chooseInput(backbone: string, form?: string, init?: string): InputForm | undefined {
  const header = init === undefined ? undefined : readSafetensorsHeader(init); // in any case: a bad file is told at once
  if (form !== undefined) return formFor(backbone, form);
  if (init === undefined || header === undefined) return undefined;
  const { entries, metadata } = header;
  if (metadata[INPUT] !== undefined) return parseInput(init, metadata[INPUT]);
  const isCheckpoint = metadata['step'] !== undefined;
  const { torchvisionNamesTellInput = false } = backboneNamed(backbone);
  const likeTorchvision = torchvisionNamesTellInput && !isCheckpoint && namedByTorchvision(Object.keys(entries));
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
    // said below
  }
  throw new UserError(`${path}: its metadata do not say how a picture is prepared (${text}); give --input`);
}
