import { appendFileSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PROPOSAL_HEADER, proposalLines, readProposalFile } from '../../src/data/proposalFiles.ts';
import { ProposalWriter } from '../../src/data/proposalWriter.ts';
import type { Sample } from '../../src/data/types.ts';
import { temporaryFolder, userError } from './fixtures.ts';

const sample = (id: string): Sample => ({
  id,
  width: 40,
  height: 30,
  boxes: [],
  load: () => assert.unreachable() as never,
});
const samples = ['a', 'b', 'folder/c'].map(sample);
const linesOf = (n: number): string =>
  proposalLines(samples[n]!.id, {
    boxes: Float32Array.of(n, 1, 20.123456, 3, 0, 0, 39, 29),
    scores: Float32Array.of(0.123456789, -2e-7),
  });

test('what is written is what is read, and only whole', async () => {
  const path = join(temporaryFolder(), 'new', 'boxes.csv');
  const writer = await ProposalWriter.open(path, {}, samples);
  for (const n of [0, 1, 2]) writer.append(linesOf(n));
  assert.not.ok(existsSync(path));
  writer.finish();
  writer.close();
  assert.equal(readdirSync(join(path, '..')), ['boxes.csv']);
  const lines = readFileSync(path, 'utf8').split('\n');
  assert.equal(lines.slice(0, 3), [PROPOSAL_HEADER, 'a,0,1,20.12,3,0.123457', 'a,0,0,39,29,-2e-7']);
  assert.equal((await readProposalFile(path, samples))[2], [
    [2, 1, 20.12, 3],
    [0, 0, 39, 29],
  ]);
});

test('wherever a process ended, the next writes the same file', async () => {
  const whole = `${PROPOSAL_HEADER}\n${[0, 1, 2].map(linesOf).join('')}`;
  const path = join(temporaryFolder(), 'boxes.csv');
  const partOf = async (): Promise<string> => {
    const writer = await ProposalWriter.open(path, { seed: 1 }, samples);
    writer.append(linesOf(0));
    writer.close();
    return join(
      path,
      '..',
      readdirSync(join(path, '..')).find((name) => name.endsWith('.part'))!,
    );
  };
  const part = await partOf();
  const firstEnd = PROPOSAL_HEADER.length + 1 + linesOf(0).length;
  for (let length = 0; length <= whole.length; length += 3) {
    writeFileSync(part, whole.slice(0, length));
    const writer = await ProposalWriter.open(path, { seed: 1 }, samples);
    // The last image that is there is computed again, since it may lack lines.
    const seen = [0, 1, 2].filter((n) => whole.slice(0, length).includes(`\n${samples[n]!.id},`)).length;
    assert.is(writer.done, Math.max(0, seen - 1), `${length} bytes`);
    for (let n = writer.done; n < 3; n++) writer.append(linesOf(n));
    writer.finish();
    writer.close();
    assert.is(readFileSync(path, 'utf8'), whole, `${length} bytes`);
  }
  // After a power cut the end may be anything.
  writeFileSync(part, whole.slice(0, firstEnd));
  appendFileSync(part, Buffer.alloc(50));
  const writer = await ProposalWriter.open(path, { seed: 1 }, samples);
  assert.is(writer.done, 0);
  writer.close();
  assert.equal(readdirSync(join(path, '..')), ['boxes.csv'], 'no part in which there is nothing');
});

test('a part with other settings or images is not continued, and goes in the end', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'boxes.csv');
  const begin = async (settings: object, list: Sample[]): Promise<ProposalWriter> => {
    const writer = await ProposalWriter.open(path, settings, list);
    if (writer.done === 0) for (const n of [0, 1]) writer.append(linesOf(n));
    return writer;
  };
  (await begin({ seed: 1 }, samples)).close();
  const other = await begin({ seed: 2 }, samples);
  assert.is(other.done, 2, 'began anew');
  (await begin({ seed: 1 }, samples.slice(0, 2))).close();
  assert.is(readdirSync(folder).length, 3);
  const resumed = await ProposalWriter.open(path, { seed: 1 }, samples);
  assert.is(resumed.done, 1);
  resumed.close();
  other.append(linesOf(2));
  other.finish();
  other.close();
  assert.equal(readdirSync(folder), ['boxes.csv']);
});

test('what cannot be written is one line', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'boxes.csv');
  assert.match(await userError(ProposalWriter.open(path, {}, [sample('a,b')])), /^"a,b": the name of this image/);
  assert.match(await userError(ProposalWriter.open(folder, {}, samples)), /: is not a regular file; name a file/);
  writeFileSync(join(folder, 'file'), '');
  assert.match(
    await userError(ProposalWriter.open(join(folder, 'file', 'x.csv'), {}, samples)),
    /x\.csv: could not be written, a part of its path is a file; choose another place/,
  );
  const first = await ProposalWriter.open(path, {}, samples);
  first.append(linesOf(0));
  const part = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.part'))!,
  );
  truncateSync(part, 5);
  assert.throws(() => first.append(linesOf(1)), /another process writes it; wait for its end or choose another --out/);
  first.close();
});

test.run();
