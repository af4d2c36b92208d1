/** Stored proposals of as many images as large data sets have. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ProposalStore } from '../../src/run/training/proposalStore.ts';

test('the capacity is the largest count, of more images than a call has arguments', () => {
  const counts = Array.from({ length: 1_000_000 }, (_, i) => Number(i === 700_000) * 3);
  assert.is(new ProposalStore(new Float32Array(12), counts).capacity, 3);
  assert.is(new ProposalStore(new Float32Array(), []).capacity, 1);
});

test.run();
