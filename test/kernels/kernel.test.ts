/** The entry points that `kernel` writes: every item is visited once, whatever the grid. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blocksOf, kernel, MAX_WORKGROUPS } from '../../src/kernels/kernel.ts';
import { launch, sharedGpu } from '../harness.ts';

const visits = async (k: Parameters<typeof launch>[1], items: number, uniforms: Record<string, number>) => {
  const { y } = await launch(await sharedGpu(), k, { y: new Uint32Array(items + 3) }, uniforms);
  assert.equal([...y!.subarray(0, items)].filter((count) => count !== 1).length, 0, 'each item once');
  assert.equal([...y!.subarray(items)], [0, 0, 0], 'nothing beyond');
};

test('each: one invocation an item, for products and blocks', async () => {
  const count = kernel({
    name: 'count_items',
    buffers: { y: 'read_write atomic<u32>' },
    uniforms: { rows: 'u32', channels: 'u32' },
    each: ['rows', blocksOf('channels', 8)],
    functions: 'fn once() -> u32 { return 1u; }',
    body: 'atomicAdd(&y[i], once());',
  });
  assert.equal(count.grid({ rows: 40, channels: 17 }), [2, 1, 1]);
  await visits(count, 120, { rows: 40, channels: 17 });
});

test('eachWorkgroup: all invocations share an item, also above 65535 of them', async () => {
  const count = kernel({
    name: 'count_workgroups',
    buffers: { y: 'read_write atomic<u32>' },
    uniforms: { n: 'u32' },
    eachWorkgroup: 'n',
    lanes: 2,
    body: 'if (lane == 1u) { atomicAdd(&y[item], 1u); }',
  });
  const n = MAX_WORKGROUPS + 2;
  assert.equal(count.grid({ n }), [32769, 2, 1]);
  await visits(count, n, { n });
});

test('grid: the body finds its own place', async () => {
  const count = kernel({
    name: 'count_places',
    buffers: { y: 'read_write atomic<u32>' },
    uniforms: { n: 'u32' },
    grid: ({ n }) => [n, 3, 1],
    lanes: 4,
    body: 'atomicAdd(&y[(group.y * groups.x + group.x) * 4u + lane], 1u);',
  });
  await visits(count, 60, { n: 5 });
});

test.run();
