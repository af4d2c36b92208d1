import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { expandCheck } from '../../src/kernels/checks/placement.ts';
import { expandReference } from '../../src/kernels/broadcast.ts';
import { testChecks } from './runCheck.ts';

const VIEWS = [
  { outer: 1, channels: 1, inner: 1 },
  { outer: 1, channels: 1, inner: 4099 },
  { outer: 31, channels: 67, inner: 1 },
  { outer: 1, channels: 67, inner: 31 },
  { outer: 3, channels: 5, inner: 7 },
];
for (const of of ['channels', 'ends'] as const) {
  testChecks(VIEWS.map((view) => expandCheck(of, view)));
}

test('repeated by hand', () => {
  const view = { outer: 2, channels: 2, inner: 2 };
  assert.equal([...expandReference(Float64Array.of(1, 2), 'channels', view)], [1, 1, 2, 2, 1, 1, 2, 2]);
  assert.equal([...expandReference(Float64Array.of(1, 2, 3, 4), 'ends', view)], [1, 2, 1, 2, 3, 4, 3, 4]);
});

test.run();
