/**
 * Runs one row on every engine, interleaved: all warm up and are checked against float64, then each computes once per round,
 * so that a drift of the machine affects all alike. Engines are processes (worker.ts), since each brings its own Dawn; idle
 * ones sleep.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compareElements, type Expected } from '../../src/bench/compare.ts';
import { describeRow, expectedElements, type PeerRow, ROWS, sampledElements } from './rows.ts';
import { makeRow, ours, type ReportRow } from './report.ts';
import type { Reply, Request } from './worker.ts';

/** The names of the peers in the report, and of their files in engines/. */
export const PEERS = {
  'onnxruntime-node': 'onnxruntime',
  'onnxruntime-cpu': 'onnxruntimeCpu',
  tfjs: 'tfjs',
  'jax-js': 'jax',
  torchvision: 'torchvision',
} as const;

const ROUNDS = 3;
/** An engine that has computed for this long in a row gets no further rounds. */
const PATIENCE_MS = 20_000;
/** The tolerance for other engines, which may sum in another order: some 300 roundings. */
const PEER_TOLERANCE = 2e-5;
/** The tolerance of a training step or a detector, relative to the largest of the numbers that are compared. */
const OURS_TOLERANCE = 1e-3;

/** An engine that answers requests. */
export interface Respondent {
  readonly name: string;
  ask<K extends Reply['kind']>(request: Request, expected: K): Promise<Extract<Reply, { kind: K }>>;
}

export class EngineProcess implements Respondent {
  readonly name: string;
  adapter: string | null = null;
  peakGflops = 0;
  version: string | undefined;
  private readonly child: ChildProcess;
  private ended: string | null = null;

  /** `folder`: where engines leave files for one another. */
  constructor(name: string, file: string, folder: string) {
    this.name = name;
    const worker = fileURLToPath(new URL('worker.ts', import.meta.url));
    this.child = fork(worker, [file, folder], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    this.child.on('close', (code, signal) => (this.ended = `its process ended (${signal ?? `exit code ${code}`})`));
  }

  async open(): Promise<void> {
    const { adapter, version, peakGflops = 0 } = await this.ask({ kind: 'open' }, 'opened');
    this.adapter = adapter;
    this.version = version;
    this.peakGflops = peakGflops;
  }

  /** Rejects with the engine's error, or if its process dies. */
  ask<K extends Reply['kind']>(request: Request, expected: K): Promise<Extract<Reply, { kind: K }>> {
    return new Promise((resolve, reject) => {
      if (this.ended !== null) return reject(new Error(this.ended));
      const onMessage = (reply: Reply) => {
        this.child.off('close', onClose);
        if (reply.kind === expected) resolve(reply as Extract<Reply, { kind: K }>);
        else reject(new Error(reply.kind === 'failed' ? firstLine(reply.message) : `answered ${reply.kind}`));
      };
      const onClose = () => {
        this.child.off('message', onMessage);
        reject(new Error(this.ended ?? 'its process ended'));
      };
      this.child.once('message', onMessage).once('close', onClose);
      this.child.send(request);
    });
  }

  close(): void {
    if (this.ended === null) this.child.kill();
  }
}

const run = async (engine: Respondent): Promise<number> => (await engine.ask({ kind: 'run' }, 'ran')).milliseconds;

const firstLine = (text: string): string => text.split('\n')[0]!.slice(0, 160);

/** `engines[0]` is ours. */
export async function compareRow(engines: readonly Respondent[], index: number, peak: number): Promise<ReportRow> {
  const row = ROWS[index]!;
  const notes: string[] = [];
  const ready: { engine: Respondent; times: number[]; spent: number }[] = [];
  const check = makeCheck(row);
  for (const engine of engines) {
    try {
      if (!(await engine.ask({ kind: 'prepare', row: index }, 'prepared')).possible) continue;
      const spent = await run(engine);
      const { values } = await engine.ask({ kind: 'elements', indices: sampledElements(row) }, 'elements');
      const problem = check(engine.name, values);
      if (problem) notes.push(`${engine.name} is wrong: ${problem} (its first run took ${spent.toFixed(0)} ms)`);
      else ready.push({ engine, times: [], spent });
    } catch (error) {
      notes.push(`${engine.name} failed: ${(error as Error).message}`);
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const item of [...ready]) {
      if (round > 0 && item.spent > PATIENCE_MS) continue;
      try {
        const time = await run(item.engine);
        item.times.push(time);
        item.spent += time;
      } catch (error) {
        notes.push(`${item.engine.name} failed: ${(error as Error).message}`);
        ready.splice(ready.indexOf(item), 1);
      }
    }
  }
  for (const engine of engines) await engine.ask({ kind: 'dispose' }, 'disposed').catch(() => {}); // already reported above
  const best = Object.fromEntries(ready.map(({ engine, times }) => [engine.name, Math.min(...times)]));
  const { [ours]: own = null, ...peers } = best;
  return makeRow(describeRow(row), own, peers, peak, notes);
}

/** What is wrong with an engine's elements, or null. Training steps and detections are compared with ours. */
function makeCheck(row: PeerRow): (name: string, values: readonly number[]) => string | null {
  if (row.kind !== 'conv' && row.kind !== 'matmul') {
    let reference: readonly number[] | null = null;
    return (_, values) => {
      reference ??= values;
      const largest = Math.max(...reference.map(Math.abs));
      const expected = reference.map((value, index) => ({ index, value, magnitude: largest }));
      return largest > 0 ? problemOf(values, expected, OURS_TOLERANCE) : 'every number of ours is 0';
    };
  }
  const expected = expectedElements(row).map((element, index) => ({ ...element, index }));
  return (name, values) => {
    // onnxruntime-node computes the convolution fused with a ReLU.
    const rectified = name === 'onnxruntime-node' && row.kind === 'conv';
    const wanted = rectified
      ? expected.map((element) => ({ ...element, value: Math.max(0, element.value) }))
      : expected;
    return name === ours ? problemOf(values, wanted) : problemOf(values, wanted, PEER_TOLERANCE);
  };
}

function problemOf(values: readonly number[], expected: readonly Expected[], tolerance?: number): string | null {
  const { passed, problems } = compareElements(values, expected, tolerance);
  return passed ? null : problems[0]!;
}
