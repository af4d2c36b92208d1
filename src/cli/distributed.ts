/** `--distributed`: a command as one of the processes that mpirun, srun or another MPI launcher has started. */
import { createHash } from 'node:crypto';
import { cpus } from 'node:os';
import { type Command } from 'commander';
import type { Dataset } from '../data/types.ts';
import { HEARTBEAT_TIMEOUT_S, MpiCommunicator, RemoteFailure } from '../distributed/mpi.ts';
import { ALONE, CommonError, Processes } from '../distributed/processes.ts';
import { UserError } from '../engine/errors.ts';
import { asOnlyWriter } from '../run/storage/runLock.ts';
import { positiveNumber } from './common.ts';
import { count } from './text.ts';

export interface DistributedOptions {
  distributed?: boolean;
  mpiLibrary?: string;
  heartbeatTimeout?: number;
  allowMixedDevices?: boolean;
}

export const withDistributedOptions = (command: Command): Command =>
  command
    .option('--distributed', 'share the work with the processes that mpirun or srun started; the result stays the same')
    .option('--mpi-library <file>', "the MPI library; default: the launcher's own, or the system's (RCNN_MPI_LIBRARY)")
    .option(
      '--heartbeat-timeout <s>',
      `with --distributed, seconds without a sign of life after which a process is given up; default: ${HEARTBEAT_TIMEOUT_S}`,
      positiveNumber,
    )
    .option('--allow-mixed-devices', 'with --distributed, compute on devices of several kinds: other bits result');

/**
 * Runs a command in every process. Only the first one prints. If one fails, all end, and the first prints the reason with the
 * rank and host of the process that failed.
 */
export async function together(
  { distributed = false, mpiLibrary, heartbeatTimeout, allowMixedDevices }: DistributedOptions,
  work: (processes: Processes) => Promise<void>,
): Promise<void> {
  if (!distributed) {
    const given = Object.entries({ mpiLibrary, heartbeatTimeout, allowMixedDevices }).find(
      ([, value]) => value !== undefined,
    );
    if (given) {
      const option = given[0].replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      throw new UserError(`--${option}: is about several processes; add --distributed, or leave it out`);
    }
    return work(ALONE);
  }
  const communicator = await MpiCommunicator.open({
    library: mpiLibrary ?? process.env['RCNN_MPI_LIBRARY'],
    heartbeatTimeout,
    report: (line) => console.error(`rcnn: ${line}`),
  });
  const processes = new Processes(communicator);
  // Open MPI gives every process a terminal, wherever its own output goes: no bar, but an occasional line.
  process.env['TERM'] = 'dumb';
  if (!processes.leads) console.log = () => {};
  try {
    describe(communicator);
    await work(processes);
  } catch (error) {
    const known = error instanceof RemoteFailure;
    if (!known) await communicator.fail(messageOf(error));
    if (processes.leads) throw known || processes.size === 1 ? error : placed(error, communicator);
    if (!known && !(error instanceof UserError)) console.error(error); // a defect, whose stack process 0 does not have
    process.exitCode = 1;
  } finally {
    await communicator.close();
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The error with the place it happened at. */
function placed(error: unknown, communicator: MpiCommunicator): unknown {
  if (!(error instanceof UserError) || error instanceof CommonError) return error;
  return new UserError(`${communicator.nameOf(communicator.rank)}: ${error.message}`, { cause: error });
}

/** Describes the processes, since a launcher names one that was killed by its number. */
function describe({ size, hosts, pids, library }: MpiCommunicator): void {
  if (size === 1) return;
  const names = hosts.map((host, rank) => `${rank} on ${host} (process ${pids[rank]})`);
  console.log(`${size} processes over ${library}: rank ${names.join(', ')}`);
  const crowded = hosts.filter((host) => host === hosts[0]).length;
  const cores = cpus().length;
  if (crowded > cores) console.log(`note: ${crowded} processes share the ${cores} cores of ${hosts[0]}`);
}

/** `asOnlyWriter` in the process that writes. */
export const withLock = <T>({ leads }: Processes, directory: string, work: () => Promise<T>): Promise<T> =>
  leads ? asOnlyWriter(directory, work) : work();

/** Throws in every process if the data of one differ from those of the first. `sets`: a row for each image, all that is compared. */
export async function assertSameData(
  processes: Processes,
  data: string,
  sets: readonly (readonly unknown[])[],
): Promise<void> {
  if (processes.size === 1) return;
  const digests = await processes.values(sets.map(digestOf).join(' and '));
  const other = digests.findIndex((digest) => digest !== digests[0]);
  if (other < 0) return;
  throw new CommonError(
    `--data ${data}: ${processes.nameOf(other)} has ${digests[other]}, rank 0 has ${digests[0]}; copy the folder to every host, or share it`,
  );
}

/** What `assertSameData` compares of data with boxes. */
export const rowsOf = ({ samples, classes }: Dataset): unknown[] =>
  samples.map(({ id, width, height, boxes, proposals }) => [classes, id, width, height, boxes, proposals]);

function digestOf(rows: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(JSON.stringify(row));
  return `${count(rows.length)} images (digest ${hash.digest('hex').slice(0, 8)})`;
}
