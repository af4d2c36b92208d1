/** The k smallest keys, three dispatches or eight, against a sort on the CPU. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LAST_KEY } from '../../src/kernels/radixSort.ts';
import { mix32 } from '../../src/kernels/rng.ts';
import { recordTopK, topKReference, topKScratch } from '../../src/kernels/topK.ts';
import { eachVariant, runStage } from './stage.ts';

const KEYS: [string, (i: number) => number][] = [
  ['random', mix32],
  ['few different', (i) => (mix32(i) % 5) * 0x11111111],
  ['equal', () => 7],
  ['mostly last', (i) => (i % 9 === 0 ? mix32(i) : LAST_KEY)],
];
for (const [name, key] of KEYS)
  test(`the smallest of ${name} keys`, async () => {
    for (const [n, k] of [
      [1, 1],
      [1024, 1024],
      [1025, 1],
      [5003, 1000],
      [5003, 5002],
    ] as const) {
      const keys = Uint32Array.from({ length: n }, (_, i) => key(i));
      const outputs = { keysOut: new Uint32Array(k), indicesOut: new Uint32Array(k) };
      const results = await eachVariant((variant) =>
        runStage({ keys }, topKScratch({ n, variant }), outputs, (run, buffers) =>
          recordTopK(run, buffers, { n, k, variant }),
        ),
      );
      const indices = topKReference(keys, k);
      for (const result of results) {
        assert.equal(result.indicesOut, indices);
        assert.equal(
          result.keysOut,
          indices.map((i) => keys[i]!),
        );
      }
    }
  });

test.run();
