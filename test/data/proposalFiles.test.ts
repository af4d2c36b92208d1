import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Sample } from '../../src/data/types.ts';
import { readProposalFile } from '../../src/data/proposalFiles.ts';
import { UserError } from '../../src/engine/errors.ts';
import { temporaryFolder } from './fixtures.ts';

const HEADER = 'image,x1,y1,x2,y2,score';
const folder = temporaryFolder();
const path = join(folder, 'boxes.csv');
const sample = (id: string): Sample => ({
  id,
  width: 40,
  height: 30,
  boxes: [],
  load: () => assert.unreachable() as never,
});
const samples = [sample('a'), sample('b')];

function read(text: string) {
  writeFileSync(path, text);
  return readProposalFile(path, samples);
}

test('boxes by image, best first, equal ones in the order of the file', async () => {
  const lines = ['b,0,0,1,1,-2', 'a,1,2,3,4,0.1', 'a,5,6,7,8.5,2e-1', 'a,9,9,9,9,0.1', 'b,0,0,39,29,-1'];
  const expected = [
    [
      [5, 6, 7, 8.5],
      [1, 2, 3, 4],
      [9, 9, 9, 9],
    ],
    [
      [0, 0, 39, 29],
      [0, 0, 1, 1],
    ],
  ];
  assert.equal(await read([HEADER, ...lines].join('\n')), expected);
  assert.equal(await read('\uFEFF' + [HEADER, ...lines, '', ''].join('\r\n')), expected, 'as Windows writes it');
});

test('a box of a scaled image may end within the last pixel', async () => {
  assert.equal((await read(`${HEADER}\na,0,0,39.9,29.9,1\nb,0,0,1,1,1`))[0], [[0, 0, 39.9, 29.9]]);
});

test('an error is one line with the file, the line and what to do', async () => {
  const cases: [text: string, message: RegExp][] = [
    ['', /boxes\.csv: is empty; its first line must be 'image,x1/],
    ['a,1,2,3,4,1\n', /line 1: is not 'image,x1,y1,x2,y2,score'; put that line first/],
    ['image,y1,x1,y2,x2,score\n', /line 1: is not/],
    [`${HEADER}\na,1,2,3,4\n`, /line 2: has 5 fields, not the 6 of/],
    [`${HEADER}\na,1,2,3,4,1,1\n`, /line 2: has 7 fields/],
    [`${HEADER}\n\na,1,2,,4,1\n`, /line 3: '' is not a number/],
    [`${HEADER}\na,1,2,3,4,NaN\n`, /line 2: 'NaN' is not a number/],
    [`${HEADER}\na,1,2,3,x4,1\n`, /line 2: 'x4' is not a number/],
    [`${HEADER}\na,3,2,1,4,1\n`, /line 2: box \(3, 2, 1, 4\) has its corners swapped; the order is x1, y1, x2, y2/],
    [`${HEADER}\na,1,1,40,30,1\n`, /line 2: box \(1, 1, 40, 30\) leaves its 40x30 image; pixels count from 0/],
    [`${HEADER}\na,-1,0,3,4,1\n`, /line 2: box \(-1, 0, 3, 4\) leaves/],
    [`${HEADER}\na,1,2,3,4,1\nc.jpg,1,2,3,4,1\n`, /line 3: image 'c\.jpg' is not in the data; drop its lines, or/],
    [`${HEADER}\na,1,2,3,4,1\n`, /boxes\.csv: has no box for 1 of 2 images, the first: b; add them/],
  ];
  for (const [text, message] of cases) await fails(read(text), message);
  await fails(readProposalFile(join(folder, 'none.csv'), samples), /none\.csv: there is no such file; check the name$/);
  await fails(readProposalFile(folder, samples), /: is a folder; name a file$/);
});

async function fails(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason as Error,
  );
  assert.instance(error, UserError, String(message));
  assert.match(error!.message, message);
  assert.not.match(error!.message, /\n/);
}

test('a device and a line without an end are one line each', async () => {
  if (process.platform !== 'win32') {
    await fails(readProposalFile('/dev/zero', samples), /^\/dev\/zero: is a device; name a regular file$/);
  }
  const endless = /boxes\.csv: has a line of more than 1048576 characters; check that it is the right file$/;
  await fails(read(`${HEADER}\n${'1'.repeat(3e6)}`), endless);
});

test.run();
