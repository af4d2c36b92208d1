/** What all optimisers share: parameters, the state that each keeps for them, and when a step is possible. */
import type { Tensor } from './tensor.ts';

/** A parameter with multipliers of its own: Caffe's lr_mult and decay_mult. */
export interface ParameterGroup {
  parameter: Tensor;
  rateMultiplier?: number;
  decayMultiplier?: number;
}

/** A parameter that is trained, with its multipliers. */
export interface TrainedParameter {
  parameter: Tensor;
  rate: number;
  decay: number;
}

/** A trained parameter and the tensors of its size that an optimiser keeps for it. */
export type Slot<State extends string = string> = TrainedParameter & { state: Readonly<Record<State, Tensor>> };

/** Those that require a gradient. `optimizer` begins the message about a mistake. */
export function trained(optimizer: string, parameters: readonly (Tensor | ParameterGroup)[]): TrainedParameter[] {
  const isList: boolean = Array.isArray(parameters); // the type stands: a check of it would make the elements `any`
  if (!isList) throw new Error(`${optimizer}: the parameters are not a list; of a module, give net.parameters()`);
  const groups = parameters.map((item) => ('parameter' in item ? item : { parameter: item }));
  const twice = groups.find(({ parameter }, i) => groups.some((other, j) => j < i && other.parameter === parameter));
  if (twice) throw new Error(`${optimizer}: parameter ${twice.parameter.name} is given twice`);
  return groups
    .filter(({ parameter }) => parameter.requiresGrad)
    .map(({ parameter, rateMultiplier = 1, decayMultiplier = 1 }) => ({
      parameter,
      rate: rateMultiplier,
      decay: decayMultiplier,
    }));
}

/** Throws unless a value is a number from 0 on. */
export function expectRate(optimizer: string, name: string, value: number): void {
  if (value >= 0 && value < Infinity) return;
  throw new Error(`${optimizer}: ${name} is ${value}, expected a number from 0 on`);
}

/** Throws unless a step can be made at this rate and with this divisor. */
export function expectStep(optimizer: string, learningRate: number, divisor: number): void {
  expectRate(optimizer, 'learningRate', learningRate);
  if (!(divisor > 0)) throw new Error(`${optimizer}: the divisor is ${divisor}, expected a number above 0`);
}

/** A parameter or a part of one: its weights, their gradient, and what an optimiser keeps for them. */
export interface Update<State extends string = string> {
  weights: Tensor;
  grad: Tensor;
  state: Readonly<Record<State, Tensor>>;
  /** Caffe's multipliers. */
  rate: number;
  decay: number;
}

/** What one step of an optimiser has for all parameters. */
export interface UpdateStep {
  learningRate: number;
  /** What gradients are divided by. */
  divisor: number;
  /** The number of the step, from 1. */
  number: number;
}

/** How gradients change weights, element by element: the rule of an optimiser with its settings. */
export interface UpdateRule<State extends string = string> {
  /** The optimiser's, for messages. */
  name: string;
  /** The names of the tensors that are kept for each parameter, all 0 at first. */
  states: readonly State[];
  /** Records the step. */
  apply(updates: readonly Update<State>[], step: UpdateStep): void;
}

/** Updates parameters by a rule. `State`: the names of the tensors that it keeps for each parameter. */
export class Optimizer<State extends string = string> {
  /** May be changed at any time. */
  learningRate: number;
  /** Parameters and what is kept for them, in the order given. */
  readonly slots: readonly Slot<State>[];
  /** Steps made so far: to be set where `slots` are filled from a file. */
  updates = 0;
  private readonly rule: UpdateRule<State>;

  /** Parameters that do not require a gradient are left alone. */
  constructor(parameters: readonly (Tensor | ParameterGroup)[], rule: UpdateRule<State>, learningRate: number) {
    expectRate(rule.name, 'learningRate', learningRate);
    this.rule = rule;
    this.learningRate = learningRate;
    this.slots = trained(rule.name, parameters).map((slot) => {
      const kept = rule.states.map((state) => {
        const tensor = slot.parameter.gpu.zeros(slot.parameter.shape, `${state} ${slot.parameter.name}`);
        tensor.persistent = true;
        return [state, tensor] as const;
      });
      return { ...slot, state: Object.fromEntries(kept) as Record<State, Tensor> };
    });
  }

  /** Updates every parameter that has a gradient. `divisor`: images whose gradients were accumulated (Caffe's iter_size). */
  step(divisor = 1): void {
    this.updates++;
    this.rehearse(divisor);
  }

  /** For `gpu.compile`: as `step`, without counting it. */
  rehearse(divisor = 1): void {
    const { rule, learningRate, updates, slots } = this;
    expectStep(rule.name, learningRate, divisor);
    const ready = slots.filter(({ parameter }) => parameter.grad);
    if (ready.length === 0 && slots.length > 0) {
      throw new Error(
        `${rule.name}: no parameter has a gradient; call backward() on a loss that depends on them first`,
      );
    }
    rule.apply(
      ready.map(({ parameter, ...slot }) => ({ ...slot, weights: parameter, grad: parameter.grad! })),
      { learningRate, divisor, number: Math.max(1, updates) },
    );
    ready.forEach(({ parameter }) => parameter.changed());
  }

  /** Frees what it keeps, and the gradients. */
  dispose(): void {
    for (const { parameter, state } of this.slots) {
      Object.values<Tensor>(state).forEach((tensor) => tensor.dispose());
      parameter.freeGrad();
    }
  }

  /** Sets the gradients to zero. Read `grad` again afterwards: it holds zeros, or what has been added since. */
  zeroGrad(): void {
    for (const { parameter } of this.slots) parameter.clearGrad();
  }
}
