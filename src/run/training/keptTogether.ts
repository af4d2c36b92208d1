/** Where the metrics and checkpoints of processes that train together go: process 0 writes them. */
import type { Processes } from '../../distributed/processes.ts';
import { ShardedOptimizer } from '../../distributed/shardedOptimizer.ts';
import type { MovingAverage } from '../../engine/movingAverage.ts';
import type { Optimizer } from '../../engine/optimizer.ts';
import { type KeptCheckpoints, keptIn, type RunFiles, type Trainable } from '../storage/checkpoint.ts';
import type { LoopStorage } from './loop.ts';
import { stateOf } from './weightAverage.ts';

export function keptTogether<Term extends string>(
  processes: Processes,
  directory: RunFiles<Parameters<LoopStorage<Term>['append']>[0]>,
  config: KeptCheckpoints,
  model: Trainable,
  optimizer: Optimizer | ShardedOptimizer,
  average?: MovingAverage,
): LoopStorage<Term> {
  const files = keptIn(directory, config, model, stateOf(optimizer, average));
  if (!(optimizer instanceof ShardedOptimizer)) return files;
  return {
    ...files,
    append: (line) => void (processes.leads && files.append(line)),
    async save(progress) {
      await optimizer.collect();
      await processes.lead(() => files.save(progress));
      optimizer.forget();
    },
  };
}
