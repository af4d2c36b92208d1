/** Whether ONNX Runtime finds the same objects with an exported model as this engine. */
import type * as Ort from 'onnxruntime-web';
import type { Detection } from '../src/eval/voc.ts';
import type { DecodedImage } from '../src/kernels/imagePrepare.ts';

/** The pixels' own error: boxes that agree differ by less, in pixels of the image. */
const BOX_TOLERANCE = 0.05;
const SCORE_TOLERANCE = 1e-4;

/** Runs an exported model on images. `ort`: onnxruntime-web or onnxruntime-node. */
export async function onnxDetector(
  ort: typeof Ort,
  model: Uint8Array,
): Promise<(image: DecodedImage) => Promise<Detection[]>> {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  return async ({ rgba, width, height }) => {
    const rgb = new Uint8Array(3 * width * height);
    for (let i = 0; i < width * height; i++) rgb.set(rgba.subarray(4 * i, 4 * i + 3), 3 * i);
    const { boxes, scores, labels } = await session.run({ image: new ort.Tensor('uint8', rgb, [height, width, 3]) });
    const corners = boxes!.data as Float32Array;
    const classes = labels!.data as BigInt64Array;
    return Array.from(scores!.data as Float32Array, (score, i) => {
      const [x1, y1, x2, y2] = corners.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
      return { x1, y1, x2, y2, score, classIndex: Number(classes[i]) };
    });
  };
}

/** How many detections have a partner of the same class, place and score. */
export function agreeing(ours: readonly Detection[], theirs: readonly Detection[]): number {
  const left = [...theirs];
  let agreed = 0;
  for (const one of ours) {
    const at = left.findIndex(
      (other) =>
        other.classIndex === one.classIndex &&
        Math.abs(other.score - one.score) <= SCORE_TOLERANCE &&
        (['x1', 'y1', 'x2', 'y2'] as const).every((side) => Math.abs(other[side] - one[side]) <= BOX_TOLERANCE),
    );
    if (at < 0) continue;
    left.splice(at, 1);
    agreed++;
  }
  return agreed;
}
