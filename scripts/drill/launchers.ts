/** The command as processes of an MPI launcher, on fewer cores than there are processes, as root too. */
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Ended } from './runs.ts';
import type { TwoHosts } from './twoHosts.ts';

interface Launcher {
  program: string;
  options: readonly string[];
  /** The options that give processes a variable of their own. */
  variable(name: string, value: string): string[];
  /** The options that place the processes on two hosts in turn, which talk over their network alone. */
  spread(hosts: TwoHosts): string[];
}

export const LAUNCHERS: Readonly<Record<string, Launcher>> = {
  openmpi: {
    program: 'mpirun.openmpi',
    options: ['--oversubscribe', '--bind-to', 'none'],
    variable: (name, value) => ['-x', `${name}=${value}`],
    spread: ({ agent, addresses, network }) => [
      ...['--host', addresses.map((address) => `${address}:8`).join(), '--map-by', 'node'],
      ...mca({ plm_rsh_agent: agent, btl: 'tcp,self', btl_tcp_if_include: network, oob_tcp_if_include: network }),
    ],
  },
  mpich: {
    program: 'mpirun.mpich',
    options: [],
    variable: (name, value) => ['-env', name, value],
    spread: ({ agent, addresses }) => [
      ...['-launcher', 'ssh', '-launcher-exec', agent, '-localhost', addresses[0], '-hosts', addresses.join()],
      ...['-ppn', '1', '-genv', 'UCX_TLS', 'tcp,self'],
    ],
  },
};
const mca = (parameters: Readonly<Record<string, string>>): string[] =>
  Object.entries(parameters).flatMap(([name, value]) => ['--mca', name, value]);

const ROOT = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
/** Eight processes on two busy cores may each be silent for longer than one on a core of its own. */
const HEARTBEAT_TIMEOUT_S = '240';

export const isInstalled = (name: string): boolean => spawnSync(LAUNCHERS[name]!.program, ['--version']).status === 0;

const rcnn = fileURLToPath(new URL('../../src/cli/rcnn.ts', import.meta.url));

/** Processes that are started alike, and the variables of their environment. */
export interface Group {
  processes: number;
  env?: Readonly<Record<string, string>>;
}

export interface LaunchOptions {
  /** Default: one process. */
  groups?: readonly Group[];
  /** Default: all processes on this machine. */
  hosts?: TwoHosts | null;
  /** Gets what was printed so far. */
  heard?: (text: string) => void;
}

/** Starts the command by itself, or as the groups of processes of a launcher. */
export function launch(
  args: readonly string[],
  launcher?: string,
  { groups = [{ processes: 1 }], hosts, heard }: LaunchOptions = {},
): Promise<Ended> {
  const own = [process.execPath, '--import', import.meta.resolve('tsx'), rcnn, ...args];
  const [program, ...rest] = launcher ? launched(LAUNCHERS[launcher]!, groups, own, hosts) : own;
  const child = spawn(program!, rest, { env: { ...process.env, ...ROOT }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      heard?.(output);
    });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code: code ?? signal, output })));
}

function launched(
  { program, options, variable, spread }: Launcher,
  groups: readonly Group[],
  own: readonly string[],
  hosts: TwoHosts | null | undefined,
): string[] {
  const distributed = [...own, '--distributed', '--heartbeat-timeout', HEARTBEAT_TIMEOUT_S];
  const parts = groups.map(({ processes, env = {} }) => [
    ...['-n', `${processes}`],
    ...Object.entries(env).flatMap(([name, value]) => variable(name, value)),
    ...distributed,
  ]);
  return [
    program,
    ...options,
    ...(hosts ? spread(hosts) : []),
    ...parts.flatMap((part, i) => (i === 0 ? part : [':', ...part])),
  ];
}
