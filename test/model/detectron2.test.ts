/**
 * detectron2's Faster R-CNNs, number by number: its own code made the numbers (scripts/goldens/detectron2_detectors.py, where the
 * file's layout is described). The weights are made from their names and go the way of a published file: recognised by names and
 * shapes, classes and anchors in its order.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { parseWeights, parseWeightsHeader } from '../../src/engine/weightsFile.ts';
import { exactAnchors } from '../../src/model/anchors.ts';
import { nearestSize } from '../../src/model/pyramidRcnn.ts';
import { message, sharedGpu } from '../harness.ts';
import { expectSameDetection } from './detectorParity.ts';
import { picture } from './seeded.ts';
import { detectron2Detector, detectron2Golden } from './seededDetectors.ts';

const { cases, metadata, tensor } = await detectron2Golden();
const pickles: Record<string, string> = JSON.parse(metadata['pickles']!);

for (const detector of cases) {
  const { name, seed, size } = detector;
  test(`${name} of detectron2`, async () => {
    const model = detectron2Detector(await sharedGpu(), detector);
    const { backbone, classes } = model.config;
    assert.is(backbone, name);
    assert.is(classes.length, 81);
    assert.equal(classes.slice(0, 2), ['__background__', 'person']);
    assert.is(classes.at(-1), 'toothbrush');
    await expectSameDetection(model, picture(seed, ...size), (part) => tensor(`${name}/${part}`), [], {
      backgroundDeltas: false,
    });
    model.dispose();
  });
}

test('images are resized to the sizes of detectron2, 800 and 1333', () => {
  for (const [height, width, ...expected] of [
    [480, 640, 800, 1067],
    [333, 500, 800, 1201],
    [427, 640, 800, 1199],
    [100, 900, 148, 1333],
    [50, 3000, 22, 1333],
    [640, 427, 1199, 800],
  ]) {
    const found = nearestSize({ height: height!, width: width! }, 800, 1333);
    assert.equal([found.height, found.width], expected, `${height}x${width}`);
  }
});

test('its anchors: sizes first, then ratios, corners not rounded', () => {
  const anchors = exactAnchors([32, 64], [0.5, 1]);
  const half = (w: number, h: number) => [-w / 2, -h / 2, w / 2, h / 2].map(Math.fround);
  const [w, h] = [32 * Math.SQRT2, 16 * Math.SQRT2];
  assert.equal([...anchors], [...half(w, h), ...half(32, 32), ...half(2 * w, 2 * h), ...half(64, 64)]);
});

test('pickled numpy arrays, as its model zoo has them, are read in protocols 3 and 4', () => {
  for (const [protocol, text] of Object.entries(pickles)) {
    const bytes = new Uint8Array(Buffer.from(text, 'base64'));
    const { tensors } = parseWeights(bytes, 'a.pkl');
    assert.equal(Object.keys(tensors), ['a.weight', 'b.half', 'c.count'], protocol);
    assert.equal(tensors['a.weight'], { shape: [2, 3], data: Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25) });
    assert.equal(tensors['b.half'], { shape: [2], data: Float32Array.of(1.5, -2) });
    assert.equal(tensors['c.count'], { shape: [1], data: Int32Array.of(7) });
    assert.equal(parseWeightsHeader(bytes, 'a.pkl').shapes['a.weight'], [2, 3]);
  }
});

test('a pickle that is cut off, or calls anything else, is one line', async () => {
  const bytes = new Uint8Array(Buffer.from(pickles['4']!, 'base64'));
  for (let length = 2; length < bytes.length; length++) {
    const failed = await message(() => parseWeights(bytes.slice(0, length), 'a.pkl'));
    assert.match(failed, /^a\.pkl: /);
    assert.not.match(failed, /\n/);
  }
  // A pickle that runs a command when Python reads it.
  const evil = new TextEncoder().encode('\x80\x03cposix\nsystem\nX\x02\x00\x00\x00id\x85R.'.replace('\x80', ' '));
  evil[0] = 0x80;
  try {
    parseWeights(evil, 'evil.pkl');
    assert.unreachable();
  } catch (error) {
    assert.instance(error, UserError);
    assert.match((error as Error).message, /^evil\.pkl: holds posix\.system, and of a pickle only numpy arrays/);
  }
});

test.run();
