/** A sheet of pictures as a training with augmentation sees them, computed by the kernels that it uses. */
import { inAugmentedOrder, TrainingOrder } from '../../data/loader.ts';
import type { Augmentation } from '../../data/augmentation.ts';
import type { Dataset } from '../../data/types.ts';
import type { Canvas } from '../../draw/canvas.ts';
import { contactSheet, drawDetections } from '../../draw/pictures.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import type { Picture } from '../../kernels/placePicture.ts';
import { prepareImage } from '../../model/prepareImage.ts';
import { COLUMNS, enlargement } from './pictures.ts';

/** Pictures on the sheet: those of the first steps. */
const STEPS = 12;

/** `flip`: whether the training mirrors images too. */
export async function augmentedSheet(
  gpu: Gpu,
  { name, classes, samples, flippable }: Dataset,
  { augmentation, seed, flip }: { augmentation: Augmentation; seed: number; flip: boolean },
): Promise<Canvas> {
  const order = new TrainingOrder(seed, samples.length, { flip: flip && flippable });
  const load = inAugmentedOrder(samples, order, augmentation);
  const canvases: Canvas[] = [];
  const captions: string[] = [];
  for (let step = 0; step < STEPS; step++) {
    const { sample, picture } = await load(step);
    const scale = enlargement(picture.width, picture.height);
    canvases.push(drawDetections(await pixelsOf(gpu, picture), [], classes, { groundTruth: sample.boxes, scale }));
    captions.push(sample.id);
  }
  return contactSheet(canvases, COLUMNS, {
    title: `${name}: the first ${STEPS} images of a training, augmented`,
    captions,
  });
}

async function pixelsOf(gpu: Gpu, picture: Picture): Promise<DecodedImage> {
  const { width, height } = picture;
  const tensor = gpu.scope(() =>
    prepareImage(
      gpu,
      picture,
      { width, height, perX: 1, perY: 1, flip: false },
      { channels: 'rgb', mean: [0, 0, 0], factor: [1, 1, 1] },
    ),
  );
  const planes = await tensor.read();
  tensor.dispose();
  const n = width * height;
  const rgba = Uint8ClampedArray.from({ length: 4 * n }, (_, i) =>
    i % 4 === 3 ? 255 : planes[(i % 4) * n + (i >> 2)]!,
  );
  return { width, height, rgba };
}
