/** Trainings of a detector that processes share, here tasks of this one. */
import * as assert from 'uvu/assert';
import { ALONE, type Processes } from '../../src/distributed/processes.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import { detectorOptimizer, JOINT_TASK, trainDetector } from '../../src/run/training/trainDetector.ts';
import { asProcesses } from '../distributed/group.ts';
import { sharedGpu } from '../harness.ts';
import type { TinyRun } from './tinyRun.ts';

/** Every process must end with the weights and losses of a training by one, for each number of processes. */
export async function assertShared({ config, dataset }: TinyRun, counts: readonly number[]): Promise<void> {
  const bits = async (processes: Processes) => {
    const model = makeDetector(await sharedGpu(), config.detector, 1);
    const optimizer = detectorOptimizer(model, config.training, JOINT_TASK, processes);
    const lines: number[] = [];
    const onMetrics = ({ loss }: { loss: number }): void => void lines.push(loss);
    await trainDetector({ model, dataset, training: config.training, optimizer, processes, onMetrics });
    const weights = await Promise.all(Object.values(model.parameters).map((tensor) => tensor.read()));
    optimizer.dispose();
    model.dispose();
    return { weights, lines };
  };
  const alone = await bits(ALONE);
  for (const count of counts) {
    for (const shared of await asProcesses(count, bits)) assert.equal(shared, alone, `${count} processes`);
  }
}
