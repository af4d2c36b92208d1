/** The network that was trained on labels, as the parts of the page know it: Label makes it, Detect uses it. */
import type { LoadedRun } from './session.ts';

export class LabelledNetwork {
  private network: LoadedRun | undefined;
  private readonly onChange: (() => void)[] = [];
  private readonly onUse: (() => void)[] = [];

  /** Undefined until there is one. */
  get run(): LoadedRun | undefined {
    return this.network;
  }

  set(network: LoadedRun | undefined): void {
    this.network = network;
    for (const listen of this.onChange) listen();
  }

  /** Asks the Detect part to use it. */
  use(): void {
    for (const listen of this.onUse) listen();
  }

  listen({ changed, used }: { changed: () => void; used?: () => void }): void {
    this.onChange.push(changed);
    if (used) this.onUse.push(used);
  }
}
