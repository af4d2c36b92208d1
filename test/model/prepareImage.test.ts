/** Pictures that lie anywhere in their buffer, and pictures that are too short. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { InputConfig } from '../../src/model/config.ts';
import { prepareImage } from '../../src/model/prepareImage.ts';
import { sharedGpu } from '../harness.ts';

const input: Pick<InputConfig, 'channels' | 'mean' | 'factor'> = {
  channels: 'rgb',
  mean: [0, 0, 0],
  factor: [1, 1, 1],
};
const placement = { height: 1, width: 2, perY: 1, perX: 1, flip: false };

test('bytes that start anywhere in their buffer give the same image', async () => {
  const gpu = await sharedGpu();
  const bytes = [1, 2, 3, 255, 10, 20, 30, 255];
  for (const offset of [0, 1, 2, 3, 4, 7]) {
    const buffer = Uint8Array.from([...Array(offset).fill(99), ...bytes, 98, 97]).buffer;
    const pixels = { width: 2, height: 1, rgba: new Uint8Array(buffer, offset) };
    const y = prepareImage(gpu, pixels, placement, input);
    assert.equal([...(await y.read())], [1, 10, 2, 20, 3, 30], `offset ${offset}`);
    y.dispose();
  }
});

test('too few bytes are one clear error', async () => {
  const gpu = await sharedGpu();
  const short = { width: 2, height: 1, rgba: new Uint8Array(7) };
  const none = { width: 0, height: 1, rgba: new Uint8Array(7) };
  assert.throws(() => prepareImage(gpu, short, placement, input), 'prepareImage: rgba has 7 bytes, expected 4 x 2 x 1');
  assert.throws(() => prepareImage(gpu, none, placement, input), 'prepareImage: rgba has 7 bytes, expected 4 x 0 x 1');
});

test.run();
