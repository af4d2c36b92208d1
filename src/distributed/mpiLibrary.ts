/**
 * The system's own MPI library, called through koffi (npm; nothing else loads it).
 *
 * Open MPI's handles are the addresses of symbols, those of MPICH and of what shares its binary interface (Intel MPI, MVAPICH)
 * are integers. Buffers that MPI keeps beyond a call are ArrayBuffers of their own: the values of a small typed array may lie
 * in memory that the garbage collector moves.
 */
import { existsSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { UserError } from '../engine/errors.ts';
import { loadPackage } from '../engine/node/optionalPackages.ts';

/** A communicator or a datatype: the address of a symbol, or a number. */
type Handle = bigint | number;
/** Memory that MPI reads or writes. */
type Memory = ArrayBufferView | null;

/** MPI's functions by their names, each with its C parameters; they return 0. */
export interface MpiFunctions {
  MPI_Init_thread(argc: Memory, argv: Memory, required: number, provided: Memory): number;
  MPI_Comm_rank(comm: Handle, rank: Memory): number;
  MPI_Comm_size(comm: Handle, size: Memory): number;
  MPI_Iallgather(
    ...args: [...Block, ...Block, comm: Handle, request: Memory] // send, receive
  ): number;
  MPI_Iallgatherv(...args: [...Block, ...Blocks, comm: Handle, request: Memory]): number;
  MPI_Ialltoallv(...args: [...Blocks, ...Blocks, comm: Handle, request: Memory]): number;
  MPI_Test: {
    (request: Memory, flag: Memory, status: Memory): number;
    async(request: Memory, flag: Memory, status: Memory, done: (error: unknown) => void): void;
  };
  MPI_Isend(...args: [...Block, to: number, tag: number, comm: Handle, request: Memory]): number;
  MPI_Iprobe(from: number, tag: number, comm: Handle, flag: Memory, status: Memory): number;
  MPI_Recv(...args: [...Block, from: number, tag: number, comm: Handle, status: Memory]): number;
  MPI_Abort(comm: Handle, code: number): number;
  MPI_Finalize(): number;
}
type Block = [data: Memory, count: number, type: Handle];
type Blocks = [data: Memory, counts: Memory, starts: Memory, type: Handle];

export interface MpiLibrary {
  functions: MpiFunctions;
  world: Handle;
  byte: Handle;
  /** MPI_THREAD_SERIALIZED: any thread may call, one at a time. */
  serialized: number;
  /** As the user would find it. */
  name: string;
}

/**
 * UCX, through which MPICH and Open MPI may send, replaces malloc and sbrk in the process that loads it, to learn when registered
 * memory is freed. Node's threads are inside malloc meanwhile, and one start in twenty-five ended with a segmentation fault.
 * Without these hooks UCX keeps no registrations. It also must not take SIGSEGV away from V8.
 */
const UCX: Readonly<Record<string, string>> = {
  UCX_MEM_EVENTS: 'no',
  UCX_MEM_MALLOC_HOOKS: 'no',
  UCX_MEM_MALLOC_RELOC: 'no',
  UCX_MEM_MMAP_HOOK_MODE: 'none',
  UCX_ERROR_SIGNALS: 'SIGILL,SIGBUS,SIGFPE',
};

const OPEN_MPI = ['libmpi.so.40', 'libmpi.so', 'libmpi.40.dylib', 'libmpi.dylib'];
const MPICH = ['libmpich.so.12', 'libmpi.so.12', 'libmpich.dylib', 'libmpi.12.dylib', 'msmpi.dll'];
/** The environment that a launcher gives its processes: how many there are, and whose library it belongs to. */
const LAUNCHERS: readonly { variable: string; libraries: readonly string[] }[] = [
  { variable: 'OMPI_COMM_WORLD_SIZE', libraries: OPEN_MPI },
  { variable: 'PMI_SIZE', libraries: MPICH },
];

/** How many processes the launcher says it started; undefined where there is none, or one that does not say. */
export function launchedProcesses(): number | undefined {
  const size = LAUNCHERS.map(({ variable }) => process.env[variable]).find((value) => value !== undefined);
  return size === undefined ? undefined : Number(size);
}

/** `path` is the library to load (`--mpi-library`); without it, the one that belongs to the launcher is looked for. */
export function loadMpi(path: string | undefined): MpiLibrary {
  const koffi = loadPackage<Koffi>('koffi');
  for (const [name, value] of Object.entries(UCX)) process.env[name] ??= value;
  const launcher = LAUNCHERS.find(({ variable }) => process.env[variable] !== undefined);
  const names = path === undefined ? (launcher?.libraries ?? [...OPEN_MPI, ...MPICH]) : [path];
  // Opening a named pipe as a library would wait for a writer.
  if (path !== undefined && existsSync(path) && !statSync(path).isFile()) {
    throw new UserError(`--mpi-library ${path}: is not a regular file; name an MPI library`);
  }
  let reason = '';
  for (const name of names) {
    try {
      // Open MPI's plugins look their symbols up among the global ones.
      const library = koffi.load(name, { global: true });
      stayLoaded(koffi, name);
      return bind(library, name);
    } catch (error) {
      reason ||= (error as Error).message;
    }
  }
  if (path !== undefined) throw new UserError(`--mpi-library ${path}: is not an MPI library (${reason})`);
  throw new UserError(
    `--distributed: no MPI library was found (${names[0]}: ${reason}); install Open MPI or MPICH (Debian: apt-get install openmpi-bin, or mpich), or name its library with --mpi-library`,
  );
}

type Koffi = typeof import('koffi').default;

/**
 * koffi closes its libraries when Node ends, but the workers in which MPI_Test ran end later, and then run Open MPI's
 * destructors of their thread-local values: between hosts, a segmentation fault each time. A library that was opened once more
 * stays.
 */
function stayLoaded(koffi: Koffi, name: string): void {
  const { RTLD_LAZY, RTLD_GLOBAL } = constants.dlopen;
  if (process.platform === 'win32' || RTLD_LAZY === undefined || RTLD_GLOBAL === undefined) return;
  koffi.load(null).func('dlopen', 'void *', ['str', 'int'])(name, RTLD_LAZY | RTLD_GLOBAL);
}

function bind(library: ReturnType<Koffi['load']>, name: string): MpiLibrary {
  const symbol = (of: string): bigint | null => {
    try {
      return library.symbol(of) as bigint;
    } catch {
      return null;
    }
  };
  const openWorld = symbol('ompi_mpi_comm_world');
  const [world, byte, handle] =
    openWorld === null
      ? ([0x44000000, 0x4c00010d, 'int'] as const)
      : ([openWorld, symbol('ompi_mpi_byte')!, 'void *'] as const);
  const block = ['void *', 'int', handle];
  const blocks = ['void *', 'void *', 'void *', handle];
  const parameters: Record<keyof MpiFunctions, string[]> = {
    MPI_Init_thread: ['void *', 'void *', 'int', 'void *'],
    MPI_Comm_rank: [handle, 'void *'],
    MPI_Comm_size: [handle, 'void *'],
    MPI_Iallgather: [...block, ...block, handle, 'void *'],
    MPI_Iallgatherv: [...block, ...blocks, handle, 'void *'],
    MPI_Ialltoallv: [...blocks, ...blocks, handle, 'void *'],
    MPI_Test: ['void *', 'void *', 'void *'],
    MPI_Isend: [...block, 'int', 'int', handle, 'void *'],
    MPI_Iprobe: ['int', 'int', handle, 'void *', 'void *'],
    MPI_Recv: [...block, 'int', 'int', handle, 'void *'],
    MPI_Abort: [handle, 'int'],
    MPI_Finalize: [],
  };
  const functions = Object.fromEntries(
    Object.entries(parameters).map(([of, types]) => [of, library.func(of, 'int', types)]),
  ) as unknown as MpiFunctions;
  return { functions, world, byte, serialized: 2, name };
}

/** Memory of its own, zeroed, that stays where it is. */
export const integers = (count: number): Int32Array =>
  new Int32Array(new ArrayBuffer(Math.max(4 * count, 256)), 0, count);
