/** `--deterministic`: the kernels of a run follow from its shapes and from capabilities that its configuration records. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KNOWN_MACHINES, serves, withDefaultLimits } from '../../src/kernels/machine.ts';
import { convOutputSize } from '../../src/kernels/conv2d.ts';
import { Plans } from '../../src/engine/plans.ts';
import { usePlansOf } from '../../src/run/config/plannedFor.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { trainRun } from '../../src/run/training/trainRun.ts';
import { sharedGpu } from '../harness.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { tinyRun } from './tinyRun.ts';

/** One machine, as devices with more or fewer limits show it. */
const device = (machine: (typeof KNOWN_MACHINES)[number], factor: number) => ({
  subgroupSize: machine.lanes,
  software: false,
  maxBindingBytes: factor * 128 * 2 ** 20,
  workgroupMemory: factor * 16384,
  workgroupInvocations: factor * 256,
  machine,
});

test('limits beyond the default change no plan of a deterministic run', () => {
  const shapes = [
    { B: 1, C: 64, H: 75, W: 100, K: 64, R: 3, S: 3, stride: 1, pad: 1 },
    { B: 1, C: 3, H: 64, W: 64, K: 64, R: 7, S: 7, stride: 2, pad: 3 },
    { B: 1, C: 2048, H: 10, W: 10, K: 1024, R: 3, S: 3, stride: 1, pad: 1 },
  ].map((shape) => ({
    ...shape,
    OH: convOutputSize(shape.H, shape.R, shape.stride, shape.pad),
    OW: convOutputSize(shape.W, shape.S, shape.stride, shape.pad),
  }));
  for (const machine of KNOWN_MACHINES) {
    const choices = [1, 4].map((factor) => {
      const plans = new Plans(device(machine, factor));
      const plannedFor = withDefaultLimits(plans.device);
      assert.is(usePlansOf({ plannedFor }, plans), true);
      return (['forward', 'input', 'filter'] as const).flatMap((pass) =>
        shapes.map((shape) => plans.conv(pass, shape)),
      );
    });
    assert.equal(choices[0], choices[1], machine.kind);
  }
});

test('a device without the recorded capabilities plans for itself', () => {
  const [machine] = KNOWN_MACHINES;
  const own = device(machine!, 1);
  const lacking = [
    { ...own, subgroupSize: 8 },
    { ...own, software: true },
    { ...own, workgroupMemory: 2 * own.workgroupMemory },
  ];
  for (const plannedFor of lacking) {
    const plans = new Plans(own);
    assert.is(usePlansOf({ plannedFor }, plans), false);
    assert.equal(plans.device, own);
  }
  assert.ok(serves(own, { ...own, subgroupSize: 0 }));
});

test('a run keeps what it was planned for when it is resumed, and is not tuned', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({ steps: 1 });
  const plannedFor = { ...withDefaultLimits(gpu.plans.device), maxBindingBytes: 2 ** 20 };
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  const tuned: unknown[] = [];
  const events = { onTuned: (report: unknown) => tuned.push(report) };
  const run = { gpu, dataset, directory, tune: true, ...events };
  const first = await trainRun({ ...run, config: { ...config, plannedFor }, resume: false });
  assert.equal(first.model.plans.device, plannedFor);
  assert.equal(directory.readConfig().plannedFor, plannedFor);
  const more = { ...directory.readConfig(), training: { ...config.training, steps: 2 } };
  const resumed = await trainRun({ ...run, config: more, resume: true });
  assert.equal(resumed.model.plans.device, plannedFor);
  assert.equal(tuned, []);
  let others = 0;
  const foreign = { ...more, plannedFor: { ...plannedFor, software: !plannedFor.software } };
  const moved = await trainRun({ ...run, config: foreign, resume: true, onOtherDevice: () => others++ });
  assert.is(others, 1);
  assert.equal(moved.model.plans.device, gpu.plans.device);
  [first, resumed, moved].forEach(({ model }) => model.dispose());
});

test.run();
