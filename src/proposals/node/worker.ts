/** The thread of `ProposalWorkers`: computes one image after another. */
import { parentPort } from 'node:worker_threads';
import { proposeBoxes } from '../propose.ts';
import type { ProposalAnswer, ProposalTask } from './workers.ts';

parentPort!.on('message', ({ image, id, settings, edges }: ProposalTask) => {
  const start = performance.now();
  const found = proposeBoxes(image, id, settings, edges);
  const answer: ProposalAnswer = { found, seconds: (performance.now() - start) / 1000 };
  parentPort!.postMessage(answer, [found.boxes.buffer as ArrayBuffer, found.scores.buffer as ArrayBuffer]);
});
