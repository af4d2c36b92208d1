/** A process that holds one engine and serves the comparison's requests, one message at a time. */
import { patiently } from '../../src/engine/node/patience.ts';
import type { Engine, PreparedRow } from './engines/engine.ts';
import { ROWS } from './rows.ts';

export type Request =
  | { kind: 'open' }
  | { kind: 'prepare'; row: number }
  | { kind: 'run' }
  | { kind: 'elements'; indices: number[] }
  | { kind: 'dispose' };

export type Reply =
  | { kind: 'opened'; adapter: string | null; version?: string | undefined; peakGflops?: number }
  | { kind: 'prepared'; possible: boolean }
  | { kind: 'ran'; milliseconds: number }
  | { kind: 'elements'; values: number[] }
  | { kind: 'disposed' }
  | { kind: 'failed'; message: string };

const [, , name, folder] = process.argv as [string, string, string, string];
let engine: Engine;
let prepared: PreparedRow | null = null;

process.on('message', (request: Request) => {
  answer(request).then(
    (reply) => process.send!(reply),
    (error: unknown) => process.send!({ kind: 'failed', message: String((error as Error)?.message ?? error) }),
  );
});
process.on('disconnect', () => process.exit());

async function answer(request: Request): Promise<Reply> {
  switch (request.kind) {
    case 'open': {
      const { open } = (await import(`./engines/${name}.ts`)) as { open(folder: string): Promise<Engine> };
      engine = await open(folder);
      const { adapter, version } = engine;
      return { kind: 'opened', adapter, version, ...(engine.peakGflops && { peakGflops: engine.peakGflops }) };
    }
    case 'prepare':
      prepared = await engine.prepare(ROWS[request.row]!);
      return { kind: 'prepared', possible: prepared !== null };
    case 'run': {
      const start = performance.now();
      await patiently(prepared!.run()); // wait as our own engine does: Dawn's own waits would spin on one of the cores
      return { kind: 'ran', milliseconds: performance.now() - start };
    }
    case 'elements':
      return { kind: 'elements', values: await prepared!.elements(request.indices) };
    case 'dispose':
      await prepared?.dispose();
      prepared = null;
      return { kind: 'disposed' };
  }
}
