/** torchvision on the CPU, the rows of the detector alone: a Python process (torchvision_rows.py) that answers line by line. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DETECTOR_LEARNING_RATE, detectorCase, TRAINED_HEADS, trainingBoxes } from '../detector.ts';
import type { PeerRow } from '../rows.ts';
import { MOMENTUM } from '../training.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';

const ROWS_SCRIPT = fileURLToPath(new URL('torchvision_rows.py', import.meta.url));
/** The first that can import torchvision: the one on the path may have none where the system's has. */
const PYTHONS = ['python3', '/usr/bin/python3'];

export async function open(): Promise<Engine> {
  const python = PYTHONS.find(hasTorchvision);
  if (!python) throw new Error('python3 cannot import torchvision');
  const child = spawn(python, [ROWS_SCRIPT]);
  const ask = asker(child);
  const { version } = await ask({ kind: 'version' });
  return {
    adapter: null,
    version: version as string,
    prepare: (row) => prepare(ask, row),
    close: () => child.stdin.end(),
  };
}

function hasTorchvision(python: string): boolean {
  try {
    execFileSync(python, ['-c', 'import torchvision'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

type Ask = (request: object) => Promise<Record<string, unknown>>;

/** One request at a time: a line of JSON each way. Rejects if the process ends. */
function asker(child: ChildProcessWithoutNullStreams): Ask {
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  return async (request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(errors.trim().split('\n').at(-1) || 'its process ended');
    return JSON.parse(value as string) as Record<string, unknown>;
  };
}

async function prepare(ask: Ask, row: PeerRow): Promise<PreparedRow | null> {
  if (row.kind !== 'detection' && row.kind !== 'detector training') return null;
  const training = {
    heads: TRAINED_HEADS,
    learningRate: DETECTOR_LEARNING_RATE,
    momentum: MOMENTUM,
    boxes: trainingBoxes(row).map(({ x1, y1, x2, y2, classIndex }) => [x1, y1, x2 + 1, y2 + 1, classIndex]),
  };
  await ask({ ...detectorCase(row), kind: 'prepare', training: row.kind === 'detection' ? null : training });
  let values: number[] = [];
  return {
    run: async () => void (values = (await ask({ kind: 'run' }))['values'] as number[]),
    elements: async (indices) => pick(values, indices),
    dispose: async () => void (await ask({ kind: 'dispose' })),
  };
}
