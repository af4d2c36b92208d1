import type { Kernel } from './kernel.ts';

/**
 * How a stage of several dispatches is written once, for the model, the benchmarks and the tests: a plain function
 * `recordStage(run, buffers, params)` that calls `run` in order. `H` is whatever represents a buffer to the caller: a
 * tensor or a handle of the engine, or a name in a test. Beside it, `stageScratch(params)` names the working buffers and
 * their sizes in elements of 4 bytes; none needs to be cleared.
 */
export type Run<H> = <B extends string, U extends string>(
  kernel: Kernel<B, U>,
  buffers: Readonly<Record<B, H>>,
  uniforms: Readonly<Record<U, number>>,
) => void;

/** The buffers of a stage: its inputs and outputs by name, and its scratch. */
export type StageBuffers<H, Names extends string, Scratch extends (...args: never[]) => object> = Readonly<
  Record<Names | (keyof ReturnType<Scratch> & string), H>
>;

/**
 * Which kernels a stage is made of: `narrow`, few workgroups of few lanes with as few dispatches as possible, which suits
 * the cores of a CPU; or `wide`, so that no workgroup works alone for long while the rest of a GPU waits. Both give the
 * same bits. The planner chooses (`stageVariant`).
 */
export type StageVariant = 'narrow' | 'wide';
