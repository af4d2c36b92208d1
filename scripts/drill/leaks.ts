/** Long runs whose memory, buffers and file descriptors must not grow. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Drill } from './kills.ts';
import { finish, start, tinyTraining, writePictures } from './runs.ts';

interface Sample {
  megabytes: number;
  buffers: number;
  descriptors: number;
}

const GAUGES = ['megabytes', 'buffers', 'descriptors'] as const;

/** The garbage collector takes its time, and the allocator keeps some. */
const SLACK: Sample = { megabytes: 30, buffers: 0, descriptors: 0 };

/**
 * Runs a command and samples what it holds twice a second; throws where the most of the last third is more than that of the
 * second. The first third warms up.
 */
async function watch(args: readonly string[], { folder, log }: Drill): Promise<string> {
  const counts = path.join(folder, 'device.json');
  const { child, ended } = start(args, { preload: ['watchDevice'], env: { DEVICE_LOG: counts } });
  const samples: Sample[] = [];
  const timer = setInterval(() => {
    try {
      const status = fs.readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const sample = {
        megabytes: Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024),
        buffers: (JSON.parse(fs.readFileSync(counts, 'utf8')) as { buffers: number }).buffers,
        descriptors: fs.readdirSync(`/proc/${child.pid}/fd`).length,
      };
      samples.push(sample);
      if (samples.length % 60 === 0) log(JSON.stringify(sample));
    } catch {
      // it has not opened its device yet, or has just ended
    }
  }, 500);
  const { code, output } = await ended;
  clearInterval(timer);
  if (code !== 0) throw new Error(output);
  const third = Math.floor(samples.length / 3);
  const most = (part: Sample[], gauge: keyof Sample): number =>
    part.reduce((largest, sample) => Math.max(largest, sample[gauge]), 0);
  const found = GAUGES.map((gauge) => {
    const [early, late] = [most(samples.slice(third, 2 * third), gauge), most(samples.slice(2 * third), gauge)];
    if (late > early + SLACK[gauge]) throw new Error(`${gauge} grew from ${early} to ${late}`);
    return `${gauge} ${early} and ${late}`;
  });
  return `at most in the second and the last third: ${found.join(', ')}`;
}

export const manySteps = (drill: Drill, steps: number): Promise<string> =>
  watch([...tinyTraining(steps), '--out', path.join(drill.folder, 'long')], drill);

/** Pictures of four sizes, with boxes drawn into each. */
export async function manyPictures(drill: Drill, pictures: number): Promise<string> {
  const model = path.join(drill.folder, 'model');
  await finish(tinyTraining(2), model);
  const folder = path.join(drill.folder, 'pictures');
  await writePictures(folder, pictures, (i) => ({
    ...[
      { width: 160, height: 120 },
      { width: 120, height: 160 },
      { width: 128, height: 128 },
      { width: 200, height: 100 },
    ][i % 4]!,
    background: `hsl(${i % 360}, 50%, 50%)`,
  }));
  const out = path.join(drill.folder, 'detections');
  return watch(['detect', '--model', model, folder, '--threshold', '0.01', '--out', out], drill);
}
