/** What layers with parameters have in common: names as in PyTorch's state_dict, and loading by them. */
import { UserError } from '../errors.ts';
import type { Gpu } from '../gpu.ts';
import type { StoredTensor } from '../safetensors.ts';
import type { Tensor } from '../tensor.ts';

/** Modules made so far on a device: their default seeds. */
const made = new WeakMap<Gpu, number>();

/** A seed that no other module of the device has by default, the same in every run of a program. */
export function nextSeed(gpu: Gpu): number {
  const seed = (made.get(gpu) ?? 0) + 1;
  made.set(gpu, seed);
  return seed;
}

/** PyTorch counts the batches of a batch normalisation, which nothing here needs. */
const UNUSED = /(^|\.)num_batches_tracked$/;

/** A layer, or layers: subclasses `add` their parameters and parts in the constructor. */
export abstract class Module {
  /** Normalisation takes the statistics of the batch and moves the running ones. */
  training = true;
  private readonly tensors = new Map<string, Tensor>();
  private readonly modules = new Map<string, Module>();

  abstract forward(x: Tensor): Tensor;

  /** Makes a tensor or a module part of this one, under a name. */
  protected add<T extends Tensor | Module>(name: string, member: T): T {
    if (member instanceof Module) {
      this.modules.set(name, member);
      for (const [inner, tensor] of Object.entries(member.state())) tensor.name = `${name}.${inner}`;
    } else {
      this.tensors.set(name, member);
    }
    return member;
  }

  /** All tensors by name, `conv1.weight`: what `saveSafetensors` stores, running statistics included. */
  state(): Record<string, Tensor> {
    const parts = [...this.modules].flatMap(([name, module]) =>
      Object.entries(module.state()).map(([inner, tensor]) => [`${name}.${inner}`, tensor] as const),
    );
    return Object.fromEntries([...this.tensors, ...parts]);
  }

  /** The trained tensors, for an optimiser; one with several names once. */
  parameters(): Tensor[] {
    return [...new Set(Object.values(this.state()))].filter(({ requiresGrad }) => requiresGrad);
  }

  /** Takes the values of `state` as `loadSafetensors` or `loadWeights` gives it. Nothing changes if a name, a shape or a type does not fit. */
  load(tensors: Readonly<Record<string, Pick<StoredTensor, 'shape' | 'data'>>>): void {
    const own = this.state();
    const problems = [
      ...Object.keys(own).flatMap((name) => (Object.hasOwn(tensors, name) ? [] : [`${name} is missing`])),
      ...Object.keys(tensors).flatMap((name) =>
        Object.hasOwn(own, name) || UNUSED.test(name) ? [] : [`${name} has no place`],
      ),
      ...Object.entries(own).flatMap(([name, { shape, dtype }]) => {
        const given = tensors[name];
        if (!given) return [];
        if (given.shape.join() !== shape.join()) return [`${name} has shape [${given.shape}], expected [${shape}]`];
        const type = given.data instanceof Int32Array ? 'i32' : 'f32';
        return type === dtype ? [] : [`${name} is ${type}, expected ${dtype}`];
      }),
    ];
    if (problems.length > 0) {
      const more = problems.length > 3 ? ` and ${problems.length - 3} others` : '';
      throw new UserError(`load: these weights are of another network: ${problems.slice(0, 3).join('; ')}${more}`);
    }
    for (const [name, tensor] of Object.entries(own)) tensor.write(tensors[name]!.data);
  }

  /** Sets `training` here and in all parts. */
  train(training = true): void {
    this.training = training;
    for (const module of this.modules.values()) module.train(training);
  }

  /** Frees all tensors. */
  dispose(): void {
    for (const tensor of Object.values(this.state())) tensor.dispose();
  }
}
