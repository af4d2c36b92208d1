/** Boxes and the view on the page's drawing surface. */
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  boxBetween,
  dragged,
  fittingView,
  type Handle,
  handleAt,
  LEAST_SIDE,
  overlap,
  panned,
  toPicture,
  zoomed,
} from '../../web/label/geometry.ts';

const picture = { width: 200, height: 100 };
const surface = { width: 416, height: 416 };

test('a picture is shown whole, in the middle, and zooming keeps the point under the pointer', () => {
  const view = fittingView(picture, surface);
  assert.equal(view, { scale: 2, x: 8, y: 108 });
  const at = { x: 100, y: 200 };
  const near = zoomed(view, 4, at, picture, surface);
  assert.is(near.scale, 8);
  assert.equal(toPicture(near, at), toPicture(view, at));
  assert.equal(zoomed(near, 1 / 100, at, picture, surface), { scale: 1, x: 108, y: 158 }, 'not smaller than it is');
});

test('a picture cannot be moved out of sight', () => {
  const view = zoomed(fittingView(picture, surface), 4, { x: 0, y: 0 }, picture, surface);
  assert.is(panned(view, 1e6, 0, picture, surface).x, 8);
  assert.is(panned(view, -1e6, 0, picture, surface).x, 416 - 8 - 1600);
});

test('corners, edges and the inside of a box are told apart', () => {
  const box = { x1: 10, y1: 10, x2: 70, y2: 50 };
  const grips: [number, number, Handle | undefined][] = [
    [8, 9, 'nw'],
    [40, 12, 'n'],
    [73, 47, 'se'],
    [68, 30, 'e'],
    [40, 30, 'move'],
    [40, 57, undefined],
    [3, 30, undefined],
  ];
  for (const [x, y, handle] of grips) assert.is(handleAt(box, { x, y }, 5), handle, `${x}, ${y}`);
  assert.is(handleAt({ x1: 10, y1: 10, x2: 16, y2: 16 }, { x: 13, y: 13 }, 5), 'move', 'the middle of a small box');
});

test('a box that is dragged stays inside the picture', () => {
  const box = { x1: 10, y1: 10, x2: 70, y2: 50 };
  assert.equal(dragged(box, 'move', -30, 7.4, picture), { x1: 0, y1: 17, x2: 60, y2: 57 });
  assert.equal(dragged(box, 'se', 5, 100, picture), { x1: 10, y1: 10, x2: 75, y2: 100 });
  assert.equal(dragged(box, 'w', 80, 80, picture), { x1: 70, y1: 10, x2: 90, y2: 50 }, 'past the other edge');
});

test('any two points make a box with whole edges and an area, inside the picture', () => {
  const coordinate = fc.double({ min: -300, max: 500, noNaN: true });
  fc.assert(
    fc.property(coordinate, coordinate, coordinate, coordinate, (ax, ay, bx, by) => {
      const { x1, y1, x2, y2 } = boxBetween({ x: ax, y: ay }, { x: bx, y: by }, picture);
      assert.ok([x1, y1, x2, y2].every(Number.isInteger));
      assert.ok(x1 >= 0 && y1 >= 0 && x2 <= picture.width && y2 <= picture.height);
      assert.ok(x2 - x1 >= LEAST_SIDE && y2 - y1 >= LEAST_SIDE);
    }),
  );
});

test('intersection over union', () => {
  const box = { x1: 0, y1: 0, x2: 10, y2: 10 };
  assert.is(overlap(box, { x1: 5, y1: 0, x2: 15, y2: 10 }), 1 / 3);
  assert.is(overlap(box, { x1: 10, y1: 0, x2: 15, y2: 10 }), 0);
  assert.is(overlap(box, box), 1);
});

test.run();
