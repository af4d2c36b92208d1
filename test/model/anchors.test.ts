/** Anchors against py-faster-rcnn's numbers. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import { anchorAt } from '../../src/kernels/anchorGrid.ts';
import { baseAnchors } from '../../src/model/anchors.ts';

const anchors = JSON.parse(readFileSync(new URL('../golden/anchors.json', import.meta.url), 'utf8'));
const ratios = [0.5, 1, 2];

const rows = (flat: Float32Array): number[][] =>
  Array.from({ length: flat.length / 4 }, (_, i) => [...flat.subarray(4 * i, 4 * i + 4)]);

test('the nine anchors of the paper', () => {
  const nine = rows(baseAnchors({ baseSize: 16, scales: [8, 16, 32], ratios }));
  assert.equal(nine, anchors.py_voc);
  assert.equal(
    nine.map(([x1, y1, x2, y2]) => [x2! - x1! + 1, y2! - y1! + 1]),
    anchors.widths_heights,
  );
});

test('the twelve anchors of COCO', () => {
  const twelve = rows(baseAnchors({ baseSize: 16, scales: [4, 8, 16, 32], ratios }));
  assert.equal(twelve, anchors.py_coco_scales_4_8_16_32);
});

test('shifted over a map: [row, column, anchor]', () => {
  const base = Float64Array.from(baseAnchors({ baseSize: 16, scales: [8, 16, 32], ratios }));
  const [height, width, anchorCount, stride] = [2, 3, 9, 16];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let a = 0; a < anchorCount; a++) {
        const at = anchorAt(base, (a * height + y) * width + x, { anchorCount, height, width, stride });
        assert.equal([...at], anchors.py_voc_shifted_2x3_stride16[y][x][a]);
      }
});

test.run();
