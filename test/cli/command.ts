/** Runs the command as a user does, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';

const entry = fileURLToPath(new URL('../../src/cli/rcnn.ts', import.meta.url));
const LIMIT_MS = 120_000;

export interface Result {
  /** The exit code, or the signal that ended it. */
  code: number | NodeJS.Signals | null;
  stdout: string;
  /** Without the two lines that Dawn writes on lavapipe: it has no switch for them, and they are no word of ours. */
  stderr: string;
}

export interface Surroundings {
  /** Standard input; default: none. */
  input?: Buffer;
  /** Searched for programs before the usual folders. */
  path?: string;
}

/** A running command, for those who interrupt it. */
export function start(
  args: readonly string[],
  cwd: string,
  { input, path }: Surroundings = {},
): { child: ChildProcess; result: Promise<Result> } {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), entry, ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: '1', PATH: [path, process.env['PATH']].filter(Boolean).join(delimiter) },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  child.stdin?.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const result = new Promise<Result>((resolve) => {
    child.on('close', (code, signal) => {
      resolve({
        code: code ?? signal,
        stdout,
        stderr: stderr.replace(/^Warning: max\w+ artificially reduced.*\n/gm, ''),
      });
    });
  });
  return { child, result };
}

export const rcnn = (cwd: string, ...args: string[]): Promise<Result> => start(args, cwd).result;
