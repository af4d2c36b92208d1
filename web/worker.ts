/** Runs a session in a worker, so that the page stays responsive; remote.ts is the page's side. */
import { Session } from './session.ts';
import type { Answer, Call } from './remote.ts';

/** A worker's global scope has the methods of a Worker. */
const page = self as unknown as Worker;
const answer = (message: Answer): void => page.postMessage(message);

const session = new Session((event) => answer({ kind: 'event', event }));

page.onmessage = async ({ data: { id, method, args } }: MessageEvent<Call>) => {
  try {
    const run = session[method] as (...args: unknown[]) => unknown;
    answer({ kind: 'result', id, result: await run.apply(session, args) });
  } catch (error) {
    answer({ kind: 'error', id, message: (error as Error).message });
  }
};
answer({ kind: 'ready', webgpu: 'gpu' in navigator });
