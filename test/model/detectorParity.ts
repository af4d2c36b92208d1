/** A detector beside another implementation's, number by number: the goldens of scripts/goldens/detectors.py and detectron2_detectors.py. */
import * as assert from 'uvu/assert';
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import type { PyramidRcnn } from '../../src/model/pyramidRcnn.ts';
import { readDetections } from '../../src/run/evaluation/detect.ts';
import { sampled } from './seeded.ts';

/** The root mean square of the differences, as a share of `size`, the root mean square of the whole tensor. */
function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, size: number, what: string): void {
  assert.is(actual.length, expected.length, what);
  const sum = Array.from(expected, (value, i) => (actual[i]! - value) ** 2).reduce((a, b) => a + b, 0);
  const error = Math.sqrt(sum / expected.length) / size;
  assert.ok(error < 1e-4, `${what}: off by ${error.toExponential(1)} of its root mean square`);
}

const rms = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values, (value) => value * value).reduce((a, b) => a + b, 0) / values.length);

/**
 * Compares the parts of a detection. `golden`: the tensors by the ends of their names. `tied`: proposals that others may replace.
 * `backgroundDeltas`: whether the other implementation has deltas of the background.
 */
export async function expectSameDetection(
  model: PyramidRcnn,
  pixels: DecodedImage,
  golden: (part: string) => Float32Array,
  tied: readonly number[] = [],
  { backgroundDeltas = true } = {},
): Promise<void> {
  const { gpu } = model;
  await gpu.scope(async () => {
    const image = model.prepare(pixels);
    const maps = model.convolve(image);
    const proposals = model.proposeOn(maps, image);
    const { logits, deltas } = maps.state;
    const sizes = golden('rms');
    const levels = golden('levels');
    expectNear(sampled(await image.tensor.read()), golden('input'), sizes[0]!, 'the input');
    for (const [i, level] of maps.features.entries()) {
      const expected = levels.subarray(64 * i, 64 * i + 64);
      expectNear(sampled(await level.read()), expected, sizes[1 + i]!, `level ${i}`);
    }
    expectNear(sampled(await logits.read()), golden('logits'), sizes.at(-2)!, 'the logits');
    expectNear(sampled(await deltas.read()), golden('deltas'), sizes.at(-1)!, 'the deltas');

    // Rounding decides about the order of nearly equal scores, so a box has its place among the neighbours.
    const expected = golden('proposals');
    const found = await proposals.rois.read();
    const distance = (r: number, other: number): number =>
      Math.max(...[0, 1, 2, 3].map((k) => Math.abs(expected[4 * r + k]! - found[5 * other + 1 + k]!)));
    const others = Array.from({ length: expected.length / 4 }, (_, r) => r).filter((r) => {
      const near = [-3, -2, -1, 0, 1, 2, 3].map((step) => r + step).filter((other) => other >= 0);
      return Math.min(...near.map((other) => distance(r, other))) > 1e-4 * rms(expected);
    });
    const unexpected = others.filter((r) => !tied.includes(r));
    assert.equal(unexpected, [], `proposals ${unexpected} are others`);

    // The head on the very same regions.
    const rows = expected.length / 4;
    const rois = Float32Array.from({ length: 5 * rows }, (_, i) =>
      i % 5 ? expected[4 * Math.floor(i / 5) + (i % 5) - 1]! : 0,
    );
    const output = gpu.withoutGradients(() => model.head.score(maps.features, gpu.tensor(rois, [rows, 5])));
    for (const [part, tensor] of [
      ['scores', output.logits],
      ['boxes', output.deltas],
    ] as [string, Tensor][]) {
      const all = await tensor.read();
      const skipped = part === 'boxes' && !backgroundDeltas ? 4 : 0;
      const values = skipped ? all.filter((_, i) => i % tensor.shape[1]! >= skipped) : all;
      expectNear(sampled(values), golden(part), rms(values), `the head's ${part}`);
    }

    // A proposal that is another one makes other detections, and leads to the suppression of others.
    const detections = await readDetections(model.classify(maps, proposals, image));
    const truth = golden('detections');
    const count = truth.length / 6;
    assert.ok(count > 20, `${count} detections are compared`);
    const missing = Array.from({ length: count }, (_, i) => [...truth.subarray(6 * i, 6 * i + 6)]).filter(
      ([left, top, right, bottom, certainty, label]) =>
        !detections.some(
          ({ x1, y1, x2, y2, score, classIndex }) =>
            classIndex === label &&
            Math.abs(score - certainty!) < 1e-4 &&
            // Its corners are continuous: x2 and y2 are one pixel farther.
            [x1 - left!, y1 - top!, x2 + 1 - right!, y2 + 1 - bottom!].every(
              (off) => Math.abs(off) < 1e-4 * pixels.width,
            ),
        ),
    );
    assert.ok(detections.length >= count, `${detections.length} detections, expected ${count}`);
    assert.ok(missing.length <= 4 * others.length, `of ${count} detections are missing: ${JSON.stringify(missing)}`);
  });
}
