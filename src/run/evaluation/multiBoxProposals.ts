/** Writes the boxes of a trained MultiBox network as a file of proposals. */
import { Prefetcher } from '../../data/prefetcher.ts';
import { proposalLines } from '../../data/proposalFiles.ts';
import { ProposalWriter } from '../../data/proposalWriter.ts';
import type { Sample } from '../../data/types.ts';
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { MultiBox } from '../../model/multiBox/multiBox.ts';
import type { MultiBoxDirectory } from '../config/multiBoxConfig.ts';
import { loadCheckpoint } from '../storage/checkpoint.ts';
import { shellCommand } from '../storage/shellCommand.ts';

export interface MultiBoxProposalsOptions {
  gpu: Gpu;
  directory: MultiBoxDirectory;
  samples: readonly Sample[];
  /** At most so many boxes an image, the most confident. */
  most: number;
  /** The file to write. */
  out: string;
  /** Aborted: what is whole is kept, and the next call with the same options continues. */
  signal?: AbortSignal;
  onStart?(done: number): void;
  onImage?(done: number): void;
}

/** @returns how far the file is, and of this call: images, boxes, seconds of all images */
export async function writeMultiBoxProposals(options: MultiBoxProposalsOptions) {
  const { directory, samples, most, out, signal, onStart, onImage } = options;
  const model = await loadMultiBox(options.gpu, directory);
  try {
    const writer = await ProposalWriter.open(out, { multiBox: model.step, config: model.config, most }, samples);
    const result = { images: 0, boxes: 0, seconds: 0 };
    try {
      onStart?.(writer.done);
      const pending = Prefetcher.inOrder(samples.slice(writer.done), (sample) => sample.load());
      while (writer.done < samples.length && !signal?.aborted) {
        const image = await pending.next();
        const start = performance.now();
        const { boxes, scores } = await model.network.propose(image);
        const kept = { boxes: boxes.slice(0, 4 * most), scores: scores.slice(0, most) };
        result.seconds += (performance.now() - start) / 1000;
        writer.append(proposalLines(samples[writer.done]!.id, kept));
        result.images++;
        result.boxes += kept.scores.length;
        onImage?.(writer.done);
      }
      const finished = writer.done === samples.length;
      if (finished) writer.finish();
      return { done: writer.done, finished, ...result };
    } finally {
      writer.close();
    }
  } finally {
    model.network.dispose();
  }
}

async function loadMultiBox(gpu: Gpu, directory: MultiBoxDirectory) {
  const config = directory.readConfig();
  if (!directory.hasCheckpoint) {
    throw new UserError(
      `${directory.path}: has no checkpoint yet; train it with: ${shellCommand('rcnn', 'multibox', '--resume', '--out', directory.path)}`,
    );
  }
  const network = new MultiBox(gpu, config.multiBox, config.training.seed);
  try {
    const { step } = await loadCheckpoint(directory.checkpointPath, network);
    return { network, step, config };
  } catch (error) {
    network.dispose();
    throw error;
  }
}
