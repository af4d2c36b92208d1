/**
 * Compiles shaders before the work that needs them. Which ones it needs depends on the shapes, so each new input size is
 * rehearsed, until one needs nothing new; after that, a shader that is still missing compiles when it is first recorded.
 */
import type { CompileReport, Gpu } from './gpu.ts';

export class WarmUp {
  private readonly gpu: Gpu;
  private readonly bySize = new Map<string, Promise<void>>();
  private complete = false;

  /** For one kind of work, such as the detections of one model. */
  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** Await this before recording work on inputs of a size. `record` does that work; here it is rehearsed (`Gpu.compile`). */
  before(size: string, record: () => void, onCompiled?: (report: CompileReport) => void): Promise<void> {
    const known = this.bySize.get(size);
    if (known) return known;
    if (this.complete) return Promise.resolve(); // not kept: images in batches have ever new sizes together
    const ready = this.compile(record, onCompiled);
    this.bySize.set(size, ready);
    return ready;
  }

  private async compile(record: () => void, onCompiled?: (report: CompileReport) => void): Promise<void> {
    const report = await this.gpu.compile(record);
    if (report.shaders === 0) this.complete = true;
    else onCompiled?.(report);
  }
}
