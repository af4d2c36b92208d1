/** What a figure depends on besides the code: versions, operating system, device, driver, and clocks where they can be read. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import type { Gpu } from '../engine/gpu.ts';
import type { BenchSystem } from './report.ts';

export function describeSystem(gpu: Gpu): BenchSystem {
  const { vendor, architecture, device, description } = gpu.device.adapterInfo;
  const cpus = os.cpus();
  return {
    version: packageVersion('../../package.json')!,
    date: new Date().toISOString(),
    node: process.version,
    dawn: packageVersion('webgpu/package.json'),
    platform: `${process.platform}-${process.arch}`,
    os: `${os.version()} ${os.release()}`,
    cpu: cpus[0]?.model.trim() || 'unknown',
    cores: Math.max(1, cpus.length),
    memory_gb: Math.round(os.totalmem() / 1e8) / 10,
    adapter: { vendor, architecture, device, description },
    features: [...gpu.device.features].sort(),
    nvidia: nvidiaState(),
  };
}

function packageVersion(name: string): string | null {
  try {
    return (createRequire(import.meta.url)(name) as { version: string }).version;
  } catch {
    return null;
  }
}

const QUERY = 'name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw';

/** The GPUs that nvidia-smi sees, with their clocks now; null if there is no nvidia-smi or if it fails. */
function nvidiaState(): BenchSystem['nvidia'] {
  const query = spawnSync('nvidia-smi', [`--query-gpu=${QUERY}`, '--format=csv,noheader,nounits'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  return query.status === 0 ? parseNvidia(query.stdout) : null;
}

/** A line of nvidia-smi's CSV is a GPU; '[N/A]' stands for what it cannot read. */
export function parseNvidia(csv: string): NonNullable<BenchSystem['nvidia']> {
  const number = (text: string | undefined): number | null => {
    const value = Number.parseFloat(text ?? '');
    return Number.isFinite(value) ? value : null;
  };
  return csv
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name = '', driver = '', sm, memory, temperature, power] = line.split(',').map((cell) => cell.trim());
      return {
        name,
        driver,
        sm_mhz: number(sm),
        memory_mhz: number(memory),
        temperature_c: number(temperature),
        power_w: number(power),
      };
    });
}
