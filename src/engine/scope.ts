/** Scopes of tensor lifetime: what is made inside a scope and not returned from it is freed at its end. */

export interface Disposable {
  dispose(): void;
  /** Outlives scopes: parameters and their gradients. */
  readonly persistent: boolean;
  /** Kept as long as this one. */
  readonly companions: readonly Disposable[];
}

const isDisposable = (value: object): value is Disposable => 'dispose' in value && 'persistent' in value;

/** Called when an outermost scope begins and when its function returns (an `async` one at its first `await`). */
export interface ScopeObserver {
  begin(): void;
  end(): void;
}

interface Scope {
  readonly fn: () => unknown;
  readonly tensors: Set<Disposable>;
}

export class ScopeStack {
  private readonly observer: ScopeObserver;
  private readonly stack: Scope[] = [];
  /** Scopes whose function is running. */
  private running = 0;

  constructor(observer: ScopeObserver) {
    this.observer = observer;
  }

  track(tensor: Disposable): void {
    this.stack.at(-1)?.tensors.add(tensor);
  }

  /** `keep` decides from the result whether what was made stays alive with it. */
  run<T>(fn: () => T, keep: (result: T) => boolean = () => false): T {
    if (this.running++ === 0) this.observer.begin();
    try {
      return this.enter(fn, keep);
    } finally {
      if (--this.running === 0) this.observer.end();
    }
  }

  private enter<T>(fn: () => T, keep: (result: T) => boolean): T {
    const scope: Scope = { fn, tensors: new Set() };
    this.stack.push(scope);
    let result: T;
    try {
      result = fn();
    } catch (error) {
      this.end(scope, undefined);
      throw error;
    }
    if (result instanceof Promise) {
      const ended = result.then(
        (value: unknown) => {
          const open = this.openInside(scope);
          this.end(scope, open ? undefined : value);
          if (open) throw overlapError(scope, open);
          return value;
        },
        (error) => {
          this.end(scope, undefined);
          throw error;
        },
      );
      return ended as T;
    }
    if (keep(result)) this.leave(scope);
    else this.end(scope, result);
    return result;
  }

  /** An async scope that began inside this one, or alongside it, and has not ended. */
  private openInside(scope: Scope): Scope | undefined {
    return this.stack[this.stack.indexOf(scope) + 1];
  }

  /** Ends a scope without freeing anything: its tensors belong to the scope around it. */
  private leave(scope: Scope): void {
    this.stack.splice(this.stack.indexOf(scope), 1);
    for (const tensor of scope.tensors) this.track(tensor);
  }

  private end(scope: Scope, result: unknown): void {
    this.stack.splice(this.stack.indexOf(scope), 1);
    const kept = new Set<Disposable>();
    collect(result, kept);
    for (const tensor of scope.tensors) {
      if (tensor.persistent) continue;
      if (kept.has(tensor)) this.track(tensor);
      else tensor.dispose();
    }
  }
}

const SHOWN_SOURCE = 60;

/** How an error shows a function: by its name, or by how its text begins. */
function nameOf({ fn }: Scope): string {
  if (fn.name) return fn.name;
  const source = fn.toString().replace(/\s+/g, ' ');
  return source.length > SHOWN_SOURCE ? `${source.slice(0, SHOWN_SOURCE)}...` : source;
}

const overlapError = (ended: Scope, open: Scope): Error =>
  new Error(
    `scope: two async scopes overlap, and each may free the tensors of the other: '${nameOf(ended)}' has ended before ` +
      `'${nameOf(open)}', which began after it; await one before the other begins`,
  );

function collect(value: unknown, into: Set<Disposable>): void {
  if (typeof value !== 'object' || value === null) return;
  if (isDisposable(value)) {
    into.add(value);
    value.companions.forEach((companion) => into.add(companion));
  } else if (Array.isArray(value)) value.forEach((item) => collect(item, into));
  else if (Object.getPrototypeOf(value) === Object.prototype)
    Object.values(value).forEach((item) => collect(item, into));
}
