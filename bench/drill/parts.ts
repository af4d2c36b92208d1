/** Runs the parts of a drill one after the other, each within its time limit, and keeps their outcomes. */
import { type ChildProcess, spawn } from 'node:child_process';

export interface Part {
  name: string;
  title: string;
  limitSeconds: number;
  /** Commands that run one after the other; one that fails ends the part. */
  commands: readonly { command: string; args: readonly string[] }[];
  /** Returns what the part has written so far; also called while it runs. */
  collect(): unknown;
}

export interface Outcome {
  name: string;
  title: string;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'over its limit' | 'not run';
  seconds: number;
  /** One line that says why it is not done. */
  why: string | null;
  result: unknown;
}

export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  log(text: string): void;
  /** Called after every change, and every few seconds while a part runs. */
  save(outcomes: readonly Outcome[]): void;
  /** The time of `performance.now()` at which the drill must end. */
  deadline: number;
  /** Ends the drill early. */
  signal: AbortSignal;
}

const SAVE_MS = 3000;
/** A part that would have less than this is left out. */
const LEAST_SECONDS = 3;

export async function runParts(parts: readonly Part[], around: Surroundings): Promise<Outcome[]> {
  const outcomes = parts.map(({ name, title }): Outcome => ({
    name,
    title,
    state: 'waiting',
    seconds: 0,
    why: null,
    result: null,
  }));
  around.save(outcomes);
  for (const [i, part] of parts.entries()) {
    const outcome = outcomes[i]!;
    const left = (around.deadline - performance.now()) / 1000;
    if (around.signal.aborted || left < LEAST_SECONDS) {
      outcome.state = 'not run';
      outcome.why = around.signal.aborted ? 'the drill was ended' : 'no time was left';
      continue;
    }
    await runPart(part, outcome, Math.min(part.limitSeconds, left), around, () => around.save(outcomes));
  }
  around.save(outcomes);
  return outcomes;
}

async function runPart(part: Part, outcome: Outcome, limit: number, around: Surroundings, save: () => void) {
  const start = performance.now();
  const look = (): void => {
    outcome.seconds = (performance.now() - start) / 1000;
    outcome.result = part.collect();
    save();
  };
  outcome.state = 'running';
  look();
  const timer = setInterval(look, SAVE_MS);
  for (const { command, args } of part.commands) {
    const rest = limit - (performance.now() - start) / 1000;
    const why = await runCommand(command, args, rest, around);
    if (why === null) continue;
    outcome.state = why === OVER ? 'over its limit' : 'failed';
    outcome.why = why === OVER ? `ended after ${limit.toFixed(0)} s; what it had written counts` : why;
    break;
  }
  clearInterval(timer);
  if (outcome.state === 'running') outcome.state = 'done';
  look();
}

const OVER = 'over its limit';

/** Runs a command. Returns one line that says why it failed, or null. */
function runCommand(command: string, args: readonly string[], seconds: number, around: Surroundings) {
  around.log(`\n$ ${[command, ...args].join(' ')}\n`);
  return new Promise<string | null>((resolve) => {
    const { env, cwd, signal } = around;
    const child = spawn(command, args, {
      env: env as NodeJS.ProcessEnv,
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let last = '';
    let over = false;
    const end = (): void => void endGroup(child);
    const timer = setTimeout(
      () => {
        over = true;
        end();
      },
      Math.max(0, seconds) * 1000,
    );
    signal.addEventListener('abort', end);
    const hear = (text: string, error: boolean): void => {
      around.log(text);
      const lines = text
        .split('\n')
        .filter((line) => line.trim() !== '' && !/^Warning: max\w+ artificially/.test(line));
      if (error && lines.length > 0) last = lines.at(-1)!.trim();
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => hear(text, false));
    child.stderr.setEncoding('utf8').on('data', (text: string) => hear(text, true));
    const settle = (why: string | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve(why);
    };
    child.on('error', (error) => settle(error.message));
    child.on('close', (code, killed) => {
      if (over) settle(OVER);
      else if (signal.aborted) settle('the drill was ended');
      else if (code === 0) settle(null);
      else settle(last || (killed ? `ended by ${killed}, as a driver that crashes does` : `exit code ${code}`));
    });
  });
}

/** Kills the command and everything it started. A process that hangs in its driver ignores a polite signal. */
function endGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}
