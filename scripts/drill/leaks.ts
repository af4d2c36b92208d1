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

/** Memory, measured after garbage collections, is judged by its level; the others by every single one. */
const LEVELS: Readonly<Record<keyof Sample, { share: number; slack: number }>> = {
  megabytes: { share: 0.5, slack: 10 },
  buffers: { share: 1, slack: 0 },
  descriptors: { share: 1, slack: 0 },
};

/**
 * Runs a command and samples twice a second what it holds; throws if the last third of the run holds more than the second third:
 * by the median of memory, and the maximum of buffers and descriptors. The first third warms up.
 */
async function watch(args: readonly string[], { folder, log }: Drill): Promise<string> {
  const counts = path.join(folder, 'device.json');
  const { child, ended } = start(args, { preload: ['watchDevice'], env: { DEVICE_LOG: counts } });
  const samples: Sample[] = [];
  const timer = setInterval(() => {
    try {
      const { megabytes, buffers } = JSON.parse(fs.readFileSync(counts, 'utf8')) as Omit<Sample, 'descriptors'>;
      if (megabytes === 0) return; // nothing has been collected yet
      const sample = {
        megabytes,
        buffers,
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
  const found = GAUGES.map((gauge) => {
    const { share, slack } = LEVELS[gauge];
    const level = (part: Sample[]): number => {
      const values = part.map((sample) => sample[gauge]).sort((a, b) => a - b);
      return values[Math.floor(share * (values.length - 1))]!;
    };
    const [early, late] = [level(samples.slice(third, 2 * third)), level(samples.slice(2 * third))];
    if (late > early + slack) throw new Error(`${gauge} grew from ${early} to ${late}`);
    return `${gauge} ${early} and ${late}`;
  });
  return `in the second and the last third: ${found.join(', ')}`;
}

export const manySteps = (drill: Drill, steps: number): Promise<string> =>
  watch([...tinyTraining(steps), '--out', path.join(drill.folder, 'long')], drill);

/** Detects in images of four sizes, and draws boxes into each. */
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
