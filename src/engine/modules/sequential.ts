/** Layers one after the other. */
import type { Tensor } from '../tensor.ts';
import { Module } from './module.ts';

/** A module, or an operation without parameters. */
export type SequentialLayer = Module | ((x: Tensor) => Tensor);

export class Sequential extends Module {
  private readonly layers: readonly SequentialLayer[];

  /** A list, whose parameters are named by their place as in PyTorch (`0.weight`), or layers by name. */
  constructor(layers: readonly SequentialLayer[] | Readonly<Record<string, SequentialLayer>>) {
    super();
    this.layers = Object.values(layers);
    for (const [name, layer] of Object.entries(layers)) if (layer instanceof Module) this.add(name, layer);
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => (layer instanceof Module ? layer.forward(y) : layer(y)), x);
  }
}
