/** The tables of docs/performance.md say what the planner computes today. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withTables } from '../../bench/gpuTable.ts';

test('the tables about GPUs in docs/performance.md are those of the planner (npx tsx bench/gpuTable.ts --write)', () => {
  const document = readFileSync(fileURLToPath(new URL('../../docs/performance.md', import.meta.url)), 'utf8');
  assert.is(withTables(document), document);
});

test.run();
