/** Augmented boxes, against the pixels that the same draw places on the device and by properties that hold for every draw. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { augment, type Augmentation, augmentationRandom, drawsMosaic, VISIBLE } from '../../src/data/augmentation.ts';
import { inAugmentedOrder, TrainingOrder } from '../../src/data/loader.ts';
import type { AnnotatedBox, Sample } from '../../src/data/types.ts';
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import { prepareImage } from '../../src/model/prepareImage.ts';
import { expectClose, sharedGpu } from '../harness.ts';

const EVERYTHING: Augmentation = {
  scale: [0.5, 2],
  crop: 0.4,
  brightness: 0.3,
  contrast: 0.3,
  saturation: 0.5,
  hue: 0.1,
  rotate: true,
  flipVertical: true,
};
const RAW: Parameters<typeof prepareImage>[3] = { channels: 'rgb', mean: [0, 0, 0], factor: [1, 1, 1] };
const none = { difficult: false } as const;

/** Grey, with a box painted in one colour. */
function painted(width: number, height: number, box: AnnotatedBox): DecodedImage {
  const rgba = new Uint8Array(4 * width * height).fill(60);
  for (let y = box.y1; y <= box.y2; y++)
    for (let x = box.x1; x <= box.x2; x++) rgba.set([250, 250, 250, 255], 4 * (y * width + x));
  return { width, height, rgba };
}

async function prepared(picture: Parameters<typeof prepareImage>[1]): Promise<Float32Array> {
  const gpu = await sharedGpu();
  const { width, height } = picture;
  const tensor = gpu.scope(() => prepareImage(gpu, picture, { width, height, perX: 1, perY: 1, flip: false }, RAW));
  const values = (await tensor.read()) as Float32Array;
  tensor.dispose();
  return values;
}

const geometry = { scale: [0.5, 2] as const, crop: 0.5, rotate: true, flipVertical: true };

test('boxes lie where the device places their pixels, whatever is drawn', async () => {
  for (let step = 0; step < 24; step++) {
    const box = { x1: 20 + step, y1: 14, x2: 39 + step, y2: 29, classIndex: 1, ...none };
    const original = { sample: { boxes: [box] }, picture: painted(96, 64, box), flip: step % 2 === 1 };
    const { picture, boxes } = augment(augmentationRandom(1, step, 0), [original], geometry);
    const { width, height } = picture;
    const red = (await prepared(picture)).subarray(0, width * height);
    const bright = [...red.keys()].filter((i) => red[i]! > 155);
    assert.is(boxes.length, 1, `step ${step}`);
    const columns = bright.map((i) => i % width);
    const rows = bright.map((i) => Math.floor(i / width));
    const [{ x1, y1, x2, y2 }] = boxes as [AnnotatedBox];
    const seen = [Math.min(...columns), Math.min(...rows), Math.max(...columns), Math.max(...rows)];
    // Half of the way between the colours is at the edge of the box, so that whole pixels differ by less than one.
    expectClose(seen, [x1, y1, x2, y2], { atol: 1, rtol: 0, what: `box of step ${step}` });
  }
});

test('without anything to change, pixels and boxes are those of the unchanged picture, mirrored or not', async () => {
  const box = { x1: 3, y1: 4, x2: 20, y2: 30, classIndex: 2, ...none };
  const rgba = Uint8Array.from({ length: 4 * 48 * 40 }, (_, i) => (i * 31) % 256);
  const picture = { width: 48, height: 40, rgba };
  const plain = augment(augmentationRandom(1, 0, 0), [{ sample: { boxes: [box] }, picture, flip: false }], {});
  assert.equal(plain.boxes, [box]);
  assert.equal(await prepared(plain.picture), await prepared(picture));
  const mirrored = augment(augmentationRandom(1, 0, 0), [{ sample: { boxes: [box] }, picture, flip: true }], {});
  assert.equal(mirrored.boxes, [{ ...box, x1: 27, x2: 44 }]);
});

test('every box lies in the composition, at least VISIBLE of it is seen, one object stays whole', () => {
  const boxes = fc.array(
    fc.record({ x: fc.integer({ min: 0, max: 89 }), y: fc.integer({ min: 0, max: 59 }), w: fc.integer({ min: 3, max: 30 }), h: fc.integer({ min: 3, max: 20 }) }), // prettier-ignore
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(boxes, fc.nat(), fc.boolean(), fc.boolean(), (drawn, step, flip, mosaic) => {
      const picture = { width: 120, height: 80, rgba: new Uint8Array() };
      const annotated = drawn.map(({ x, y, w, h }, i) => ({ x1: x, y1: y, x2: x + w - 1, y2: y + h - 1, classIndex: 1 + i, ...none })); // prettier-ignore
      const values = annotated.flatMap(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]);
      const proposals = {
        boxes: Float32Array.from(values),
        scores: Float32Array.from(annotated, (_, i) => 1 / (1 + i)),
      };
      const original = { sample: { boxes: annotated, proposals }, picture, flip };
      // A crop alone keeps an object whole; enlarged twice, a large one may not fit.
      const augmentation = { ...EVERYTHING, scale: [0.5, 1] as const };
      const result = augment(
        augmentationRandom(7, step, 0),
        mosaic ? Array(4).fill(original) : [original],
        augmentation,
      );
      const { width, height, parts } = result.picture;
      assert.is(width * height, 120 * 80);
      for (const box of result.boxes) {
        assert.ok(box.x1 > -1e-6 && box.y1 > -1e-6 && box.x2 < width - 1 + 1e-6 && box.y2 < height - 1 + 1e-6);
        assert.ok(box.x2 >= box.x1 && box.y2 >= box.y1);
        if (mosaic) continue;
        const { x1, y1, x2, y2 } = annotated[box.classIndex - 1]!;
        const share =
          ((box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1) * parts[0]!.perX ** 2) / ((x2 - x1 + 1) * (y2 - y1 + 1));
        assert.ok(share > VISIBLE - 1e-6 && share < 1 + 1e-6, `${share}`);
      }
      if (!mosaic) {
        const whole = result.boxes.some((box) => {
          const { x1, y1, x2, y2 } = annotated[box.classIndex - 1]!;
          const area = (box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1) * parts[0]!.perX ** 2;
          return Math.abs(area - (x2 - x1 + 1) * (y2 - y1 + 1)) < 1e-3;
        });
        assert.ok(whole);
      }
      // Proposals go where the objects go.
      const scores = [...result.proposals!.scores];
      assert.equal(
        scores,
        [...scores].sort((a, b) => b - a),
      );
      assert.is(result.proposals!.boxes.length, 4 * scores.length);
      assert.is(scores.length, Math.max(1, result.boxes.length));
    }),
    { numRuns: 200 },
  );
});

test('colours: greys keep their hue, and a picture without saturation is grey', async () => {
  const picture = { width: 8, height: 8, rgba: new Uint8Array(256).fill(100) };
  const original = { sample: { boxes: [] }, picture, flip: false };
  for (let step = 0; step < 4; step++) {
    const { picture } = augment(augmentationRandom(3, step, 0), [original], {
      saturation: 0.9,
      hue: 0.5,
      contrast: 0.9,
    });
    // The mean of a grey picture is its own colour, about which contrast changes nothing.
    expectClose(await prepared(picture), new Float32Array(192).fill(100), {
      atol: 0.05,
      rtol: 0,
      what: `step ${step}`,
    });
  }
});

test('a draw depends on seed, step and image alone, and mosaics take three other images', async () => {
  const samples: Sample[] = [10, 20, 30, 40, 50].map((side) => ({
    id: `${side}`,
    width: side,
    height: side,
    boxes: [{ x1: 2, y1: 2, x2: 8, y2: 8, classIndex: 1, ...none }],
    load: () => Promise.resolve({ width: side, height: side, rgba: new Uint8Array(4 * side * side) }),
  }));
  const load = () => inAugmentedOrder(samples, new TrainingOrder(5, 5, { flip: true }), { ...EVERYTHING, mosaic: 0.5 });
  const forwards = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(load()));
  const again = load();
  for (const step of [6, 2]) assert.equal(await again(step), forwards[step]);
  const counts = forwards.map(({ picture }) => ('parts' in picture ? picture.parts.length : 0));
  assert.equal([...new Set(counts)].sort(), [1, 4]);
  assert.is(drawsMosaic(augmentationRandom(1, 1, 1), {}), false);
});

test.run();
