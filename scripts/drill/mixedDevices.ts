/** Two processes on devices of different kinds, lavapipe and SwiftShader: refused, unless it is allowed, and then recorded. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { launch } from './launchers.ts';
import { tinyTraining } from './runs.ts';

const GROUPS = ['lavapipe', 'swiftshader'].map((name) => ({ processes: 1, env: { WEBGPU_RCNN_SOFTWARE: name } }));
const REFUSAL =
  /^rcnn train: --distributed: rank 1 on \S+ computes on .*SwiftShader.*, rank 0 on .*llvmpipe.*, so the bits would depend on who computes what; use devices of one kind with one driver, or add --allow-mixed-devices$/m;
const NOTE = /^note: rank 1 on \S+ computes on .*SwiftShader.*; the weights will differ in their last bits/m;

/** `folder` gets the run. Throws if anything else happens. */
export async function mixDevices(launcher: string, folder: string): Promise<void> {
  const out = path.join(folder, 'mixed');
  const run = [...tinyTraining(2), '--set', 'training.imagesPerStep=2', '--out', out];
  const refused = await launch(run, launcher, { groups: GROUPS });
  if (refused.code !== 1 || !REFUSAL.test(refused.output)) {
    throw new Error(`mixed devices were not refused on ${launcher} (${refused.code}):\n${refused.output}`);
  }
  if (fs.existsSync(path.join(out, 'config.json'))) throw new Error(`${out}: a refused run was begun`);
  const allowed = await launch([...run, '--allow-mixed-devices'], launcher, { groups: GROUPS });
  if (allowed.code !== 0 || !NOTE.test(allowed.output)) {
    throw new Error(`mixed devices were not allowed on ${launcher} (${allowed.code}):\n${allowed.output}`);
  }
  const { mixedDevices } = JSON.parse(fs.readFileSync(path.join(out, 'config.json'), 'utf8')) as {
    mixedDevices?: boolean;
  };
  if (mixedDevices !== true) throw new Error(`${out}: config.json does not say that the devices were mixed`);
  fs.rmSync(out, { recursive: true });
}
