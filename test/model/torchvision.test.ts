/**
 * torchvision's Faster R-CNNs on feature pyramids, number by number (scripts/goldens/detectors.py, where the file's layout is
 * described): the input, the levels, the RPN's maps, proposals, the head, the detections. All weights are made from their names,
 * with statistics of batch normalisation that are not trivial.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSafetensors } from '../../src/node.ts';
import type { StoredTensor } from '../../src/engine/safetensors.ts';
import { wholeParameters } from '../../src/engine/shards.ts';
import { backboneNamed } from '../../src/model/backbones/index.ts';
import { classesOf } from '../../src/model/cocoClasses.ts';
import { flooredSize, PyramidRcnn } from '../../src/model/pyramidRcnn.ts';
import { pyramidDetector } from '../../src/run/config/presets.ts';
import { sharedGpu } from '../harness.ts';
import { expectSameDetection } from './detectorParity.ts';
import { fill, picture } from './seeded.ts';
import { torchvisionName } from './torchvisionNames.ts';

interface Case {
  name: string;
  seed: string;
  size: [number, number];
  sides: [number, number];
}

const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/torchvision-detectors.safetensors', import.meta.url).pathname,
);
const golden = (name: string): Float32Array => (tensors[name] as StoredTensor).data as Float32Array;
const cases: Case[] = JSON.parse(metadata['cases']!);

/**
 * Proposals that others may replace. ResNet-50 v2: two anchors have the score 0.9996624 and boxes of IoU 0.857; whichever comes
 * first by the last bits of its logit suppresses the other, which is proposal 46, and with it the box that would suppress 63.
 */
const TIED: Readonly<Record<string, readonly number[]>> = { resnet50_fpn_v2: [46, 63] };

test('images are resized to the sizes of torchvision, 800 and 1333', () => {
  const sizes = [
    [480, 640, 800, 1066],
    [600, 800, 800, 1066],
    [416, 416, 800, 800],
    [333, 500, 799, 1201],
    [375, 500, 799, 1066],
    [427, 640, 799, 1199],
    [1200, 1600, 800, 1066],
    [100, 900, 148, 1333],
    [720, 1280, 749, 1333],
    [50, 3000, 22, 1332],
  ];
  for (const [height, width, ...expected] of sizes) {
    const found = flooredSize({ height: height!, width: width! }, 800, 1333);
    assert.equal([found.height, found.width], expected, `${height}x${width}`);
  }
});

for (const { name, seed, size, sides } of cases) {
  test(`fasterrcnn_${name}`, async () => {
    const gpu = await sharedGpu();
    const backbone = backboneNamed(name);
    const [shorterSide, longerSide] = sides;
    const preset = pyramidDetector(backbone);
    const model = new PyramidRcnn(
      gpu,
      { ...preset, input: { ...preset.input, shorterSide, longerSide }, classes: classesOf(91, name) },
      0,
    );
    for (const [own, { shape, parts }] of Object.entries(wholeParameters(model.parameters)))
      parts[0]!.write(fill(torchvisionName(own, name), shape, seed));
    await expectSameDetection(model, picture(seed, ...size), (part) => golden(`${name}/${part}`), TIED[name]);
    model.dispose();
  });
}

test.run();
