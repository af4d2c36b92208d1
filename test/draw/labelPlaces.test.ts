/** Labels lie beside one another, near their boxes, within the canvas. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { placeLabels } from '../../src/draw/labelPlaces.ts';

const LABEL = { width: 40, height: 10 };
const CANVAS = { width: 200, height: 200 };

test('a label that is alone lies on the upper left corner of its box, or below it at the upper edge', () => {
  assert.equal(placeLabels([{ x1: 50, y1: 60, x2: 120, y2: 120, ...LABEL }], CANVAS), [{ x: 50, y: 50 }]);
  assert.equal(placeLabels([{ x1: 190, y1: 60, x2: 199, y2: 120, ...LABEL }], CANVAS), [{ x: 160, y: 50 }]);
});

test('six boxes in one place have six labels that do not meet', () => {
  const box = { x1: 60, y1: 60, x2: 150, y2: 150, ...LABEL };
  const places = placeLabels(
    Array.from({ length: 6 }, () => box),
    CANVAS,
  );
  places.forEach((a, i) =>
    places.slice(0, i).forEach((b) => {
      const apart = Math.abs(a.x - b.x) >= LABEL.width || Math.abs(a.y - b.y) >= LABEL.height;
      assert.ok(apart, `${a.x},${a.y} and ${b.x},${b.y}`);
    }),
  );
});

test('whatever the boxes, every label is within the canvas and touches its box', () => {
  const side = fc.integer({ min: 0, max: 199 });
  const box = fc.tuple(side, side, side, side).map(([a, b, c, d]) => ({
    x1: Math.min(a, c),
    y1: Math.min(b, d),
    x2: Math.max(a, c),
    y2: Math.max(b, d),
    ...LABEL,
  }));
  fc.assert(
    fc.property(fc.array(box, { maxLength: 30 }), (boxes) => {
      placeLabels(boxes, CANVAS).forEach(({ x, y }, i) => {
        assert.ok(x >= 0 && y >= 0 && x + LABEL.width <= 200 && y + LABEL.height <= 200);
        const { x1, y1, x2, y2 } = boxes[i]!;
        assert.ok(x <= x2 && x + LABEL.width >= x1 && y <= y2 && y + LABEL.height >= y1);
      });
    }),
  );
});

test.run();
