/** Whether an exported model finds in ONNX Runtime what the engine finds. */
import * as ort from 'onnxruntime-web';
import * as assert from 'uvu/assert';
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import type { Detector } from '../../src/model/detector.ts';
import { exportOnnx } from '../../src/onnx/exportDetector.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { agreeing, onnxDetector } from '../../scripts/onnxAgreement.ts';

/** Frees the detector in the end. */
export async function expectSameObjects(model: Detector, pictures: readonly DecodedImage[]): Promise<void> {
  const detect = await onnxDetector(ort, await exportOnnx(model));
  for (const pixels of pictures) {
    const [ours, theirs] = [await detectImage(model, pixels), await detect(pixels)];
    const size = `${pixels.width}x${pixels.height}`;
    assert.ok(ours.length >= 5, `${size}: only ${ours.length} objects to compare`);
    assert.is(theirs.length, ours.length, `${size}: objects`);
    assert.is(agreeing(ours, theirs), ours.length, `${size}: objects that agree`);
  }
  model.dispose();
}
