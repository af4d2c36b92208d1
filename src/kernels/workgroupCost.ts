/**
 * What a tile in workgroup memory costs on a machine: bytes, registers, occupancy, and the bound that follows. It is pure arithmetic,
 * which orders the planner's candidates when nothing has been measured (docs/performance.md has a table).
 *
 * A stage of a tile keeps a core busy for the longer of two: its multiply-adds, and the traffic of its workgroup memory, where
 * every invocation reads rowsEach + columnsEach values for rowsEach * columnsEach multiply-adds. All tiles together need
 * the shared cache, from which each reads its rows of A and columns of B, and memory, which delivers both factors once.
 */
import type { Machine } from './machine.ts';
import { type Fetch, fetchesOf, invocationsOf, workgroupBytes, type WorkgroupTile } from './workgroupCore.ts';

/** A product of `batch` times M x K with K x N. */
export interface ProductExtents {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly batch: number;
}

export interface Fetches {
  readonly fetchA: Fetch;
  readonly fetchB: Fetch;
}

export type Bound = 'multiply-adds' | 'workgroup memory' | 'cache' | 'memory' | 'latency';

export interface TileCost {
  readonly microseconds: number;
  readonly bound: Bound;
  readonly workgroups: number;
  /** Registers of an invocation. */
  readonly registers: number;
  /** Workgroups that a core holds at once, and the invocations in them as a share of those that it could hold. */
  readonly resident: number;
  readonly occupancy: number;
  /** Bytes from memory (at least), from the shared cache, and from workgroup memory. */
  readonly memoryBytes: number;
  readonly cacheBytes: number;
  readonly workgroupTraffic: number;
}

/** Registers for indices, bounds and what the compiler keeps besides the sums. */
const OTHER_REGISTERS = 20;
/** Registers of a place in a factor: four offsets and a step of k, or one offset if four values are read at once. */
const cursorRegisters = (fetch: Fetch): number => (fetch === 'vector' ? 2 : 5);
/** Subgroups of a core that hide the latency of its instructions from one another, where each has results to spare. */
const BUSY_SUBGROUPS = 8;
/** Cycles from the start of a workgroup to its first sum, and from its last to its end. */
const START_CYCLES = 2000;
/** Microseconds of a dispatch that computes nothing. */
export const DISPATCH_US = 3;

/** 32-bit registers of an invocation: the sums, one step's values, the values of the next stage, and where they lie. */
export function registersOf(tile: WorkgroupTile, { fetchA, fetchB }: Fetches): number {
  const { rows, columns, rowsEach, columnsEach } = tile;
  const fetched = (extent: number, fetch: Fetch): number => fetchesOf(tile, extent) * (4 + cursorRegisters(fetch));
  const step = rowsEach + columnsEach;
  return rowsEach * columnsEach + step + fetched(rows, fetchA) + fetched(columns, fetchB) + OTHER_REGISTERS;
}

/** Workgroups that a core holds at once; 0 where not even one fits. */
export function residentOf(tile: WorkgroupTile, access: Fetches, machine: Machine): number {
  const registers = registersOf(tile, access);
  if (registers > machine.registersEach) return 0;
  const invocations = invocationsOf(tile);
  return Math.min(
    Math.floor(machine.registers / (registers * invocations)),
    Math.floor(machine.workgroupMemory / workgroupBytes(tile, access.fetchA, access.fetchB)),
    Math.floor(machine.invocations / invocations),
  );
}

export function tileCost(tile: WorkgroupTile, product: ProductExtents, access: Fetches, machine: Machine): TileCost {
  const { rows, columns, rowsEach, columnsEach, depth } = tile;
  const { M, N, K, batch } = product;
  const workgroups = Math.ceil(M / rows) * Math.ceil(N / columns) * batch;
  const steps = Math.ceil(K / depth) * depth;
  const resident = residentOf(tile, access, machine);
  const registers = registersOf(tile, access);
  const invocations = invocationsOf(tile);

  const stepBytes = 4 * invocations * (rowsEach + columnsEach) + 4 * (rows + columns);
  const workgroupTraffic = workgroups * steps * stepBytes;
  const cacheBytes = 4 * workgroups * steps * (rows + columns) + 4 * batch * M * N;
  const memoryBytes = 4 * batch * (M * K + K * N + M * N);

  // The cores take the workgroups in turns; the one with most decides. Few on a core leave it waiting for its own instructions.
  const most = Math.ceil(workgroups / machine.cores);
  const together = Math.min(most, Math.max(1, resident));
  const subgroups = (together * invocations) / machine.lanes;
  const multiplyAdds = (rows * columns * steps) / machine.multiplyAdds;
  const workgroupMemory = (steps * stepBytes) / machine.workgroupBytesPerCycle;
  const busy = Math.min(1, subgroups / BUSY_SUBGROUPS);
  const core = Math.max(multiplyAdds / busy, workgroupMemory) + START_CYCLES / together;

  const cycles: Readonly<Record<Bound, number>> = {
    'multiply-adds': most * multiplyAdds,
    'workgroup memory': most * workgroupMemory,
    cache: cacheBytes / machine.cacheBytesPerCycle,
    memory: memoryBytes / machine.memoryBytesPerCycle,
    latency: most * core,
  };
  const longest = (bounds: readonly Bound[]): Bound => bounds.reduce((a, b) => (cycles[b] > cycles[a] ? b : a));
  const throughput = longest(['multiply-adds', 'workgroup memory', 'cache', 'memory']);
  // Where waiting makes less than half of the time, the bound is what the rest is spent on.
  const bound = cycles.latency > 2 * cycles[throughput] ? 'latency' : throughput;
  return {
    microseconds:
      resident === 0
        ? Infinity
        : DISPATCH_US + Math.max(cycles.latency, cycles[throughput]) / (1000 * machine.gigahertz),
    bound,
    workgroups,
    registers,
    resident,
    occupancy: (resident * invocations) / machine.invocations,
    memoryBytes,
    cacheBytes,
    workgroupTraffic,
  };
}
