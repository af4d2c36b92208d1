/** Runs many commands of `rcnn` in few processes, each within limits of time and memory. */
import { type ChildProcess, fork } from 'node:child_process';
import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Outcome {
  /** The exit code, or why the process was ended. */
  code: number | 'no end' | 'memory' | 'crash';
  stdout: string;
  stderr: string;
}

const SERVER = fileURLToPath(new URL('commandServer.ts', import.meta.url));
const LIMIT_MS = 180_000;
/** Beyond what the process had before the command. */
const LIMIT_MEGABYTES = 1500;

/** Runs commands in a process that serves them all, and in a new one after one that had to be ended. */
export class Commands {
  private server: ChildProcess | undefined;
  private readonly cwd: string;

  constructor(cwd: string) {
    this.cwd = cwd;
  }

  run(args: readonly string[]): Promise<Outcome> {
    const server = (this.server ??= fork(SERVER, {
      cwd: this.cwd,
      execArgv: ['--import', import.meta.resolve('tsx')],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: { ...process.env, NO_COLOR: '1' },
    }));
    return new Promise((resolve) => {
      const before = megabytes(server.pid!);
      const started = Date.now();
      const end = (outcome: Outcome): void => {
        clearInterval(timer);
        server.removeAllListeners();
        resolve(outcome);
      };
      const giveUp = (code: Outcome['code']): void => {
        this.close();
        end({ code, stdout: '', stderr: '' });
      };
      const timer = setInterval(() => {
        if (Date.now() - started > LIMIT_MS) giveUp('no end');
        else if (megabytes(server.pid!) > before + LIMIT_MEGABYTES) giveUp('memory');
      }, 50);
      server.once('message', (outcome) => end(outcome as Outcome));
      server.once('exit', () => giveUp('crash'));
      server.send({ args });
    });
  }

  close(): void {
    this.server?.removeAllListeners();
    this.server?.kill('SIGKILL');
    this.server = undefined;
  }
}

/** Memory of a process; 0 where the system does not tell. */
function megabytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
