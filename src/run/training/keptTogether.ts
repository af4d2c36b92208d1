/** Where the metrics and checkpoints of processes that train together go: process 0 writes them. */
import type { Processes } from '../../distributed/processes.ts';
import { ShardedSgd } from '../../distributed/shardedSgd.ts';
import type { Sgd } from '../../engine/sgd.ts';
import { keptIn, type Trainable } from '../storage/checkpoint.ts';
import type { LoopStorage } from './loop.ts';

export function keptTogether<Term extends string>(
  processes: Processes,
  directory: Parameters<typeof keptIn<Parameters<LoopStorage<Term>['append']>[0]>>[0],
  config: { checkpointInterval: number },
  model: Trainable,
  optimizer: Sgd | ShardedSgd,
): LoopStorage<Term> {
  const files = keptIn(directory, config, model, optimizer);
  if (!(optimizer instanceof ShardedSgd)) return files;
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
