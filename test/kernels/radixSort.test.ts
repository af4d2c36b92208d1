/** The whole sort, eight dispatches or one, against a stable sort on the CPU. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LAST_KEY, radixSortScratch, recordRadixSort, sortKey, sortReference } from '../../src/kernels/radixSort.ts';
import { mix32 } from '../../src/kernels/rng.ts';
import { eachVariant, runStage } from './stage.ts';

async function sorted(
  keys: Uint32Array,
  n: number,
  slices: number,
): Promise<{ keys: Uint32Array; values: Uint32Array }> {
  const values = Uint32Array.from(keys, (_, i) => i % n);
  const [narrow, wide] = await eachVariant((variant) =>
    runStage({ keys, values }, radixSortScratch({ n, slices }), { keys, values }, (run, buffers) =>
      recordRadixSort(run, buffers, { n, slices, variant }),
    ),
  );
  assert.equal(wide, narrow, 'both variants give the same order');
  return narrow as { keys: Uint32Array; values: Uint32Array };
}

const KEYS: [string, (i: number) => number][] = [
  ['random', mix32],
  ['few different', (i) => (mix32(i) % 5) * 0x11111111],
  ['equal', () => 7],
  ['descending', (i) => 0xffffffff - i],
];
for (const [name, key] of KEYS)
  for (const n of [1, 2, 63, 1023, 1024, 1025, 5003])
    test(`${n} ${name} keys, stably`, async () => {
      const keys = Uint32Array.from({ length: n }, (_, i) => key(i));
      const order = sortReference(keys);
      const result = await sorted(keys, n, 1);
      assert.equal([...result.values], order);
      assert.equal(
        [...result.keys],
        order.map((i) => keys[i]!),
      );
    });

test('200003 keys', async () => {
  const keys = Uint32Array.from({ length: 200003 }, (_, i) => mix32(i) >>> 8);
  const result = await sorted(keys, keys.length, 1);
  assert.equal(result.values, Uint32Array.from(sortReference(keys)));
});

for (const n of [300, 1300])
  test(`three slices of ${n} do not mix`, async () => {
    const keys = Uint32Array.from({ length: 3 * n }, (_, i) => mix32(i) % 1000);
    const result = await sorted(keys, n, 3);
    for (let s = 0; s < 3; s++)
      assert.equal([...result.values.subarray(s * n, (s + 1) * n)], sortReference(keys.subarray(s * n, (s + 1) * n)));
  });

test('keys of scores: descending, zeros equal, what is not finite last', () => {
  const scores = [3.4e38, 1, 0.5, 1e-45, 0, -1e-45, -0.5, -1, -3.4e38];
  const keys = scores.map(sortKey);
  assert.equal(
    [...keys].sort((a, b) => a - b),
    keys,
  );
  assert.is(new Set(keys).size, keys.length);
  assert.is(sortKey(-0), sortKey(0));
  assert.ok(Math.max(...keys) < LAST_KEY);
  assert.equal([NaN, Infinity, -Infinity].map(sortKey), [LAST_KEY, LAST_KEY, LAST_KEY]);
});

test.run();
