/** The fit of anchors: against every anchor of the real grid, and the advice where it is poor. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset } from '../../src/data/registry.ts';
import type { Sample } from '../../src/data/types.ts';
import { anchorOverlapsReference } from '../../src/kernels/anchorLabels.ts';
import { Random } from '../../src/kernels/rng.ts';
import { baseAnchors } from '../../src/model/anchors.ts';
import { backboneParameters } from '../../src/model/backbones/backbone.ts';
import { BACKBONES } from '../../src/model/backbones/index.ts';
import { usualBackbones } from '../model/registered.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import {
  bestOverlaps,
  betterAnchors,
  fitOf,
  inputObjects,
  quantiles,
  ratioOf,
  sizeOf,
} from '../../src/run/reports/anchorFit.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { realData } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';

const detector = (preset: string, changes: Partial<DetectorConfig> = {}): DetectorConfig => ({
  ...PRESETS[preset]!.detector,
  classes: ['__background__', 'thing'],
  ...changes,
});

const sampleOf = (width: number, height: number, boxes: [number, number, number, number][]): Sample => ({
  id: 'a',
  width,
  height,
  boxes: boxes.map(([x1, y1, x2, y2]) => ({ x1, y1, x2, y2, classIndex: 1, difficult: false })),
  load: () => Promise.reject(new Error('no picture is needed')),
});

test('the greatest overlap is that of all anchors of the map that lie inside the image', async () => {
  const gpu = await sharedGpu();
  const random = new Random(5);
  for (const backbone of usualBackbones()) {
    const { stride, build, pyramid } = BACKBONES.get(backbone)!;
    if (pyramid || /^resnet(34|50|101)$/.test(backbone)) continue; // other anchors; maps as ResNet-18's
    const built = build(gpu, { bins: 1, seed: 1, frozenStages: 0 });
    assert.is(stride, built.stride);
    for (const convention of ['py-faster-rcnn', 'torchvision'] as const) {
      const [height, width] = [100 + random.integer(60), 100 + random.integer(60)];
      const input = { ...PRESETS['photos']!.detector.input, shorterSide: Math.min(height, width), longerSide: 1000 };
      const anchors = { sizes: [12, 40, 90], ratios: [0.5, 1, 2.3] };
      const config = detector('photos', { backbone, convention, input, anchors });
      const boxes = Array.from({ length: 40 }, (): [number, number, number, number] => {
        const [x, y] = [random.integer(width - 1), random.integer(height - 1)];
        return [x, y, x + 1 + random.integer(width - 1 - x), y + 1 + random.integer(height - 1 - y)];
      });
      const found = bestOverlaps(inputObjects([sampleOf(width, height, boxes)], config), config);

      let map: readonly number[] = [];
      gpu.measure(() =>
        gpu.withoutGradients(() => (map = built.features(gpu.empty([1, 3, height, width])).shape.slice(2))),
      );
      const scales = anchors.sizes.map((size) => size / built.stride);
      const base = Float64Array.from(baseAnchors({ baseSize: built.stride, scales, ratios: anchors.ratios }));
      const overlaps = anchorOverlapsReference(base, Float64Array.from(boxes.flatMap((box) => [...box, 1])), {
        anchorCount: base.length / 4,
        height: map[0]!,
        width: map[1]!,
        stride: built.stride,
        imageHeight: height,
        imageWidth: width,
        plusOne: convention === 'torchvision' ? 0 : 1,
        positiveOverlap: 0.7,
        negativeOverlap: 0.3,
      });
      const n = overlaps.length / boxes.length;
      const expected = boxes.map((_, t) => overlaps.subarray(t * n, (t + 1) * n).reduce((a, b) => Math.max(a, b), 0));
      assert.equal(found, expected, `${backbone}, ${convention}, ${width}x${height}`);
      assert.ok(new Set(found).size > 20);
    }
    for (const parameter of Object.values(backboneParameters(built))) parameter.dispose();
  }
});

test('objects are measured as the network takes them, and those that do not count are left out', () => {
  const sample = sampleOf(240, 320, [
    [10, 20, 29, 59],
    [0, 0, 9, 9],
    [0, 0, 9, 9],
  ]);
  sample.boxes[1]!.difficult = true;
  sample.boxes[2]!.crowd = true;
  const [object, ...others] = inputObjects([sample], detector('photos'));
  assert.equal(others, []);
  assert.equal(object, { classIndex: 1, box: [20, 40, 58, 118], image: { width: 480, height: 640 } });
  assert.is(sizeOf(object!), Math.sqrt(39 * 79));
  assert.is(ratioOf(object!), 79 / 39);
});

test('an image in which no anchor fits has none that overlaps', () => {
  const config = detector('photos', { anchors: { sizes: [600], ratios: [1] } });
  assert.equal(bestOverlaps(inputObjects([sampleOf(480, 480, [[0, 0, 479, 479]])], config), config), [0]);
});

test('shares and quantiles', () => {
  assert.equal(fitOf([0.49, 0.5, 0.69, 0.7]), { objects: 4, iou50: 0.75, iou70: 0.25 });
  assert.equal(quantiles([30, 10, 20], [0, 0.5, 1]), [10, 20, 30]);
  assert.equal(quantiles([7], [0, 0.5, 1]), [7, 7, 7]);
});

test('anchors that fit are kept, for others better ones are found', async () => {
  const { samples } = await openDataset('digits', { split: 'val' });
  const advised = (config: DetectorConfig) => {
    const objects = inputObjects(samples, config);
    return betterAnchors(objects, bestOverlaps(objects, config), config);
  };
  assert.is(advised(detector('digits')), null);
  const far = detector('digits', { anchors: { sizes: [90], ratios: [1] } });
  const advice = advised(far)!;
  assert.ok(advice.iou50 > 0.95 && advice.iou70 > 0.6, `${advice.iou50} ${advice.iou70}`);
  // What it says holds for all objects, not only for those by which it was chosen.
  const config = { ...far, anchors: advice.anchors };
  const { anchors, ...fit } = advice;
  assert.equal(fitOf(bestOverlaps(inputObjects(samples, config), config)), fit);
  assert.ok(anchors.sizes.length * anchors.ratios.length <= 12);
  assert.is(betterAnchors([], [], far), null);
});

const chess = realData('CHESS416');
if (chess !== undefined) {
  test('CHESS416: the usual anchors are too square for its pieces, those of its preset fit', async () => {
    const { samples } = await openDataset(`voc:${chess}`, { split: 'train' });
    const fit = (preset: string) => {
      const config = detector(preset);
      const objects = inputObjects(samples, config);
      return fitOf(bestOverlaps(objects, config));
    };
    const [usual, own] = [fit('photos'), fit('chess')];
    assert.ok(usual.iou50 < 0.85 && usual.iou70 < 0.2 && own.iou50 > 0.99 && own.iou70 > 0.5);
  });
}

test.run();
