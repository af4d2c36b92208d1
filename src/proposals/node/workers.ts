/** Proposals of many images at once, in worker threads. What a image gets does not depend on the number of threads. */
import { Worker } from 'node:worker_threads';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import type { MeasuredEdges } from '../edgeMap.ts';
import type { ProposalSettings } from '../propose.ts';
import type { ScoredBoxes } from '../../kernels/boxes.ts';

export interface ProposalTask {
  image: DecodedImage;
  /** The name of the image. */
  id: string;
  settings: ProposalSettings;
  edges?: MeasuredEdges | undefined;
}

export interface ProposalAnswer {
  found: ScoredBoxes;
  /** What the image took in its thread. */
  seconds: number;
}

interface Waiting {
  task: ProposalTask;
  resolve(answer: ProposalAnswer): void;
  reject(error: Error): void;
}

/** Starts worker.js of the compiled package. The sources, worker.ts, need the loader of TypeScript, which threads do not inherit. */
function startThread(): Worker {
  if (import.meta.url.endsWith('.js')) return new Worker(new URL('./worker.js', import.meta.url));
  const [loader, worker] = [import.meta.resolve('tsx/esm/api'), new URL('./worker.ts', import.meta.url).href];
  const code = `import('${loader}').then(({ register }) => (register(), import('${worker}')))`;
  return new Worker(code, { eval: true });
}

export class ProposalWorkers {
  readonly #threads: Worker[];
  readonly #idle: Worker[];
  readonly #queue: Waiting[] = [];
  readonly #working = new Map<Worker, Waiting>();
  #failure: Error | undefined;

  constructor(count: number) {
    this.#threads = Array.from({ length: count }, () => this.#start());
    this.#idle = [...this.#threads];
  }

  #start(): Worker {
    const thread = startThread();
    thread.on('message', (answer: ProposalAnswer) => {
      const { resolve } = this.#working.get(thread)!;
      this.#working.delete(thread);
      this.#idle.push(thread);
      this.#next();
      resolve(answer);
    });
    thread.on('error', (error: Error) => this.#fail(error));
    thread.on('exit', (code) => {
      if (this.#working.has(thread)) this.#fail(new Error(`a worker thread ended with code ${code}`));
    });
    return thread;
  }

  /** Waits for a free thread. Rejects if a thread fails, and from then on always. */
  run(task: ProposalTask): Promise<ProposalAnswer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#failure) for (const { reject } of this.#queue.splice(0)) reject(this.#failure);
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const thread = this.#idle.pop()!;
      const waiting = this.#queue.shift()!;
      this.#working.set(thread, waiting);
      thread.postMessage(waiting.task);
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#working.values()) reject(error);
    this.#working.clear();
    this.#next();
  }

  /** Ends the threads, whatever they are doing. */
  async close(): Promise<void> {
    this.#working.clear();
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }
}
