/** Which process a lock or a temporary file belongs to, and whether that process is still running. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  host: string;
  pid: number;
  /** When it started, as the system reports it, since process numbers are reused. Null if that is not known. */
  started: string | null;
}

export const thisProcess = (): ProcessIdentity => ({
  host: hostname(),
  pid: process.pid,
  started: stateOf(process.pid)?.started ?? null,
});

/** Whether a process is running. A process of another host cannot be checked and counts as running. */
export function isRunning({ host, pid, started }: ProcessIdentity): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false; // EPERM: it is another user's
  }
  const state = stateOf(pid);
  if (!state) return true;
  return !state.ended && (started === null || state.started === started);
}

interface ProcessState {
  started: string;
  /** A zombie: it has ended, and its parent has not collected its status. */
  ended: boolean;
}

/** Null if the system does not report it. */
function stateOf(pid: number): ProcessState | null {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name, in brackets, may hold anything; the third field follows it, and the 22nd counts ticks since the boot.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      return { started: `${boot} ${fields[19]}`, ended: /^[ZX]/.test(fields[0]!) };
    }
    if (process.platform === 'win32') return null;
    const [state, ...started] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', `${pid}`], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split(/\s+/);
    return { started: started.join(' '), ended: state!.startsWith('Z') };
  } catch {
    return null;
  }
}
