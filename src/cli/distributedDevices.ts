/** The devices of processes that compute together: each takes one, and they must be of one kind. */
import { MpiCommunicator } from '../distributed/mpi.ts';
import { CommonError, type Processes } from '../distributed/processes.ts';
import type { Gpu } from '../engine/gpu.ts';
import { cores, type Cores } from '../engine/node/cores.ts';
import { hardwareAdapters } from '../engine/node/open.ts';
import { type AdapterKind, withGpu } from './common.ts';

/**
 * Opens this process's device and runs `work` with it: on a machine with several GPUs, the process's place among those of its
 * host says which. `mixed`: the processes compute on devices of several kinds, whose bits differ, which is refused unless it is
 * allowed. Prints notes about devices that are shared and cores that the launcher leaves unused.
 */
export async function withSharedGpu<T>(
  processes: Processes,
  { adapter, allowMixedDevices = false }: { adapter: AdapterKind; allowMixedDevices?: boolean | undefined },
  work: (gpu: Gpu, mixed: boolean) => Promise<T>,
): Promise<T> {
  const { communicator } = processes;
  if (!(communicator instanceof MpiCommunicator)) return withGpu(adapter, (gpu) => work(gpu, false));
  const { hosts, rank } = communicator;
  const turn = hosts.slice(0, rank).filter((host) => host === hosts[rank]).length;
  return withGpu(
    adapter,
    async (gpu) => {
      await noteUnusedCores(processes, communicator, gpu.adapter.software);
      return work(gpu, await areMixed(processes, communicator, gpu, allowMixedDevices));
    },
    turn,
  );
}

async function areMixed(
  processes: Processes,
  communicator: MpiCommunicator,
  gpu: Gpu,
  allowed: boolean,
): Promise<boolean> {
  if (processes.size === 1) return false;
  // On a software adapter a single submit may take as long as the heartbeat timeout.
  if (!gpu.adapter.software) communicator.watch(() => gpu.finish());
  const { description } = gpu.adapter;
  const kinds = await processes.values({ description, capabilities: JSON.stringify(gpu.plans.device) });
  const [first] = kinds;
  const other = kinds.findIndex((kind) => JSON.stringify(kind) !== JSON.stringify(first));
  if (other < 0) {
    await noteSharing(communicator, gpu);
    return false;
  }
  const { description: others } = kinds[other]!;
  const device = others === first!.description ? `${others} with other limits` : others;
  const what = `${processes.nameOf(other)} computes on ${device}, rank 0 on ${first!.description}`;
  if (!allowed) {
    throw new CommonError(
      `--distributed: ${what}, so the bits would depend on who computes what; use devices of one kind with one driver, or add --allow-mixed-devices`,
    );
  }
  console.log(`note: ${what}; the weights will differ in their last bits from those of any other run`);
  return true;
}

async function noteSharing({ hosts }: MpiCommunicator, { adapter: { software } }: Gpu): Promise<void> {
  const processes = hosts.filter((host) => host === hosts[0]).length;
  const gpus = software ? 1 : (await hardwareAdapters()).length;
  if (processes <= gpus || processes === 1) return;
  const who = `note: the ${processes} processes on ${hosts[0]}`;
  const which = gpus === 1 ? 'one GPU, and share it' : `${gpus} GPUs, and share them`;
  console.log(software ? `${who} share this device` : `${who} see ${which} unless the launcher gives each its own`);
}

/** Open MPI binds each of one or two processes to one core, and a software adapter then computes on this core alone. */
async function noteUnusedCores(processes: Processes, { hosts }: MpiCommunicator, software: boolean): Promise<void> {
  const bound = await processes.values<Cores | null>(cores());
  const here = bound.filter((_, rank) => hosts[rank] === hosts[0]).filter((known) => known !== null);
  const used = here.reduce((sum, { own }) => sum + own, 0);
  const all = Math.max(0, ...here.map((known) => known.all));
  const [first] = here;
  if (!first || used >= all || !(software || first.own < 2)) return;
  const who = here.length === 1 ? 'this process' : `the ${here.length} processes on ${hosts[0]}`;
  console.log(`note: the launcher lets ${who} use ${used} of ${all} cores; ${advice()}`);
}

function advice(): string {
  if (process.env['SLURM_PROCID'] !== undefined) return 'ask for more with srun --cpus-per-task';
  if (process.env['OMPI_COMM_WORLD_SIZE'] !== undefined) return 'use all of them with mpirun --bind-to none';
  return 'use all of them with mpirun -bind-to none';
}
