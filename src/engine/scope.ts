/** Scopes of tensor lifetime: what is made inside a scope and not returned from it is freed at its end. */

export interface Disposable {
  dispose(): void;
  /** Outlives scopes: parameters and their gradients. */
  readonly persistent: boolean;
  /** Kept as long as it is. */
  readonly companions: readonly Disposable[];
}

const isDisposable = (value: object): value is Disposable => 'dispose' in value && 'persistent' in value;

/** Told when a scope that is in no other begins and has run; of an `async` one that is all before its first `await`. */
export interface ScopeObserver {
  begin(): void;
  end(): void;
}

export class ScopeStack {
  private readonly observer: ScopeObserver;
  private readonly stack: Set<Disposable>[] = [];
  /** Scopes whose function runs right now. */
  private running = 0;

  constructor(observer: ScopeObserver) {
    this.observer = observer;
  }

  track(tensor: Disposable): void {
    this.stack.at(-1)?.add(tensor);
  }

  /** `keep`: whether what was made lives on with the result after all. */
  run<T>(fn: () => T, keep: (result: T) => boolean = () => false): T {
    if (this.running++ === 0) this.observer.begin();
    try {
      return this.enter(fn, keep);
    } finally {
      if (--this.running === 0) this.observer.end();
    }
  }

  private enter<T>(fn: () => T, keep: (result: T) => boolean): T {
    const scope = new Set<Disposable>();
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
        (value) => {
          this.end(scope, value);
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

  /** Ends a scope without freeing anything: its tensors belong to the scope around it. */
  private leave(scope: Set<Disposable>): void {
    this.stack.splice(this.stack.indexOf(scope), 1);
    for (const tensor of scope) this.track(tensor);
  }

  private end(scope: Set<Disposable>, result: unknown): void {
    this.stack.splice(this.stack.indexOf(scope), 1);
    const kept = new Set<Disposable>();
    collect(result, kept);
    for (const tensor of scope) {
      if (tensor.persistent) continue;
      if (kept.has(tensor)) this.track(tensor);
      else tensor.dispose();
    }
  }
}

function collect(value: unknown, into: Set<Disposable>): void {
  if (typeof value !== 'object' || value === null) return;
  if (isDisposable(value)) {
    into.add(value);
    value.companions.forEach((companion) => into.add(companion));
  } else if (Array.isArray(value)) value.forEach((item) => collect(item, into));
  else if (Object.getPrototypeOf(value) === Object.prototype)
    Object.values(value).forEach((item) => collect(item, into));
}
