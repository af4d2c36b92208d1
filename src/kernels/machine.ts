/**
 * What the planner assumes of a GPU. WebGPU gives a vendor, an architecture and a description, never the number of cores
 * or their bandwidths. The numbers come from what the vendors publish about their architectures; nothing here is measured. They
 * need only be right enough to order a few tiles: a tuner may time the first of them (engine/tuner.ts).
 *
 * A core is what shares one workgroup memory: a streaming multiprocessor, a compute unit, an Xe core, an Apple GPU core.
 */
export interface Machine {
  readonly kind: string;
  /** Lanes of a subgroup. */
  readonly lanes: number;
  readonly cores: number;
  /** Multiply-adds in float32 that a core completes per cycle. */
  readonly multiplyAdds: number;
  /** 32-bit registers of a core, and of one invocation at most. */
  readonly registers: number;
  readonly registersEach: number;
  /** Bytes of workgroup memory of a core, and bytes that it delivers per cycle. */
  readonly workgroupMemory: number;
  readonly workgroupBytesPerCycle: number;
  /** Invocations that a core holds at most. */
  readonly invocations: number;
  /** Bytes per cycle of the shared cache and of memory, for all cores together. */
  readonly cacheBytesPerCycle: number;
  readonly memoryBytesPerCycle: number;
  readonly gigahertz: number;
}

const KIB = 1024;

const NVIDIA = {
  lanes: 32,
  multiplyAdds: 128,
  registers: 65536,
  registersEach: 255,
  workgroupMemory: 100 * KIB,
  workgroupBytesPerCycle: 128,
  invocations: 1536,
} as const;

/** Known machines by the words of the adapter, the first match wins; `words` are vendor, architecture, device and description. */
const MACHINES: readonly { readonly words: RegExp; readonly machine: Machine }[] = [
  {
    words: /\bH[12]00\b|\bGH200\b|hopper/i,
    machine: {
      ...NVIDIA,
      kind: 'NVIDIA H100',
      cores: 132,
      workgroupMemory: 228 * KIB,
      invocations: 2048,
      cacheBytesPerCycle: 132 * 32,
      memoryBytesPerCycle: 1900,
      gigahertz: 1.75,
    },
  },
  {
    words: /\bA100\b/i,
    machine: {
      ...NVIDIA,
      kind: 'NVIDIA A100',
      cores: 108,
      multiplyAdds: 64,
      workgroupMemory: 164 * KIB,
      invocations: 2048,
      cacheBytesPerCycle: 108 * 40,
      memoryBytesPerCycle: 1100,
      gigahertz: 1.4,
    },
  },
  {
    words: /\bturing\b|\bT4\b/i,
    machine: {
      ...NVIDIA,
      kind: 'NVIDIA Turing',
      cores: 40,
      multiplyAdds: 64,
      workgroupMemory: 64 * KIB,
      invocations: 1024,
      cacheBytesPerCycle: 1280,
      memoryBytesPerCycle: 230,
      gigahertz: 1.5,
    },
  },
  {
    words: /nvidia/i,
    machine: {
      ...NVIDIA,
      kind: 'NVIDIA, other',
      cores: 46,
      cacheBytesPerCycle: 46 * 32,
      memoryBytesPerCycle: 280,
      gigahertz: 1.8,
    },
  },
  {
    words: /cdna|\bMI[123]\d\d/i,
    machine: {
      kind: 'AMD CDNA',
      lanes: 64,
      cores: 104,
      multiplyAdds: 64,
      registers: 131072,
      registersEach: 256,
      workgroupMemory: 64 * KIB,
      workgroupBytesPerCycle: 128,
      invocations: 2048,
      cacheBytesPerCycle: 4096,
      memoryBytesPerCycle: 960,
      gigahertz: 1.7,
    },
  },
  {
    words: /amd|radeon|rdna/i,
    machine: {
      kind: 'AMD RDNA',
      lanes: 32,
      cores: 40,
      multiplyAdds: 64,
      registers: 65536,
      registersEach: 255,
      workgroupMemory: 64 * KIB,
      workgroupBytesPerCycle: 64,
      invocations: 1024,
      cacheBytesPerCycle: 1280,
      memoryBytesPerCycle: 200,
      gigahertz: 2.2,
    },
  },
  {
    words: /intel/i,
    machine: {
      kind: 'Intel Xe',
      lanes: 16,
      cores: 16,
      multiplyAdds: 128,
      registers: 131072,
      registersEach: 128,
      workgroupMemory: 64 * KIB,
      workgroupBytesPerCycle: 128,
      invocations: 1024,
      cacheBytesPerCycle: 1024,
      memoryBytesPerCycle: 100,
      gigahertz: 2,
    },
  },
  {
    words: /apple/i,
    machine: {
      kind: 'Apple',
      lanes: 32,
      cores: 16,
      multiplyAdds: 128,
      registers: 53248,
      registersEach: 128,
      workgroupMemory: 60 * KIB,
      workgroupBytesPerCycle: 64,
      invocations: 1024,
      cacheBytesPerCycle: 512,
      memoryBytesPerCycle: 150,
      gigahertz: 1.4,
    },
  },
];

/** What an unknown GPU is assumed to be: close to most. */
export const UNKNOWN_MACHINE: Machine = {
  kind: 'other GPU',
  lanes: 32,
  cores: 32,
  multiplyAdds: 128,
  registers: 65536,
  registersEach: 128,
  workgroupMemory: 48 * KIB,
  workgroupBytesPerCycle: 64,
  invocations: 1024,
  cacheBytesPerCycle: 1024,
  memoryBytesPerCycle: 200,
  gigahertz: 1.5,
};

/** The machine that an adapter's own words name. */
export const machineOf = (words: string): Machine =>
  MACHINES.find((entry) => entry.words.test(words))?.machine ?? UNKNOWN_MACHINE;

/** One of each kind, for tables and tests. */
export const KNOWN_MACHINES: readonly Machine[] = [...MACHINES.map(({ machine }) => machine), UNKNOWN_MACHINE];

/** What the choice of a kernel depends on besides the shape. */
export interface Capabilities {
  /** Lanes of a subgroup: exact if fewer than 16, otherwise a lower bound; 0 if there are no subgroups to rely on. */
  subgroupSize: number;
  /** It computes on the CPU. */
  software: boolean;
  /** The largest buffer that a shader can bind. */
  maxBindingBytes: number;
  /** Bytes of workgroup memory, and invocations, of a workgroup at most. */
  workgroupMemory: number;
  workgroupInvocations: number;
  /** What it is assumed to be; matters only on hardware. */
  machine: Machine;
}

/** A device reduced to WebGPU's default limits, which every device has: its plans do not depend on the limits requested. */
export const withDefaultLimits = ({ subgroupSize, software, machine }: Capabilities): Capabilities => ({
  subgroupSize,
  software,
  maxBindingBytes: 128 * KIB * KIB,
  workgroupMemory: 16 * KIB,
  workgroupInvocations: 256,
  machine,
});

/** Whether a device can run every kernel that is planned for `planned`. */
export const serves = (device: Capabilities, planned: Capabilities): boolean =>
  device.software === planned.software &&
  (planned.subgroupSize === 0 || device.subgroupSize === planned.subgroupSize) &&
  (['maxBindingBytes', 'workgroupMemory', 'workgroupInvocations'] as const).every(
    (name) => device[name] >= planned[name],
  );
