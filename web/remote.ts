/** Calls to the session, wherever it runs: they go to the worker as messages, and results come back as promises. */
import type { Session, SessionEvent } from './session.ts';

type Methods = { [K in keyof Session as Session[K] extends (...args: never[]) => unknown ? K : never]: Session[K] };

/** A Session whose every method returns a promise. */
export type RemoteSession = {
  [K in keyof Methods]: (...args: Parameters<Methods[K]>) => Promise<Awaited<ReturnType<Methods[K]>>>;
};

export interface Call {
  id: number;
  method: keyof Methods;
  args: unknown[];
}

export type Answer =
  | { kind: 'ready'; webgpu: boolean }
  | { kind: 'event'; event: SessionEvent }
  | { kind: 'result'; id: number; result: unknown }
  | { kind: 'error'; id: number; message: string };

/** Starts a session in a worker, or in this page if workers have no WebGPU. */
export async function startSession(tell: (event: SessionEvent) => void): Promise<RemoteSession> {
  const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
  const waiting = new Map<number, PromiseWithResolvers>();
  const webgpu = await new Promise<boolean>((resolve) => {
    worker.onerror = () => resolve(false);
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.kind === 'ready') return resolve(data.webgpu);
      if (data.kind === 'event') return tell(data.event);
      const call = waiting.get(data.id)!;
      waiting.delete(data.id);
      if (data.kind === 'result') call.resolve(data.result);
      else call.reject(new Error(data.message));
    };
  });
  if (!webgpu) {
    worker.terminate();
    const { Session } = await import('./session.ts');
    return new Session(tell) as unknown as RemoteSession; // awaiting a value that is not a promise works as well
  }
  let calls = 0;
  const send = (method: keyof Methods, args: unknown[]) =>
    new Promise((resolve, reject) => {
      waiting.set(++calls, { resolve, reject });
      worker.postMessage({ id: calls, method, args } satisfies Call);
    });
  return new Proxy({} as RemoteSession, {
    // `await` takes whatever has a `then` for a promise, so the proxy must not have one.
    get: (_, method) => (method === 'then' ? undefined : (...args: unknown[]) => send(method as keyof Methods, args)),
  });
}

interface PromiseWithResolvers {
  resolve(value: unknown): void;
  reject(error: Error): void;
}
