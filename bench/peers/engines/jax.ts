/**
 * @jax-js/jax on WebGPU, everything inside `jit`. Arrays are reference-counted: a call consumes its arguments unless they
 * are passed as `.ref`.
 */
import { convInputs } from '../../../src/bench/cases/convolution.ts';
import { outputSize } from '../../../src/bench/shapes.ts';
import { matmulInputs, type PeerRow } from '../rows.ts';
import { LEARNING_RATE, MOMENTUM, OUTPUT_ELEMENTS, TRAINING_LAYERS, trainingInputs } from '../training.ts';
import { type Engine, pick, type PreparedRow } from './engine.ts';
import { provideNavigator } from './navigator.ts';

/** The part of its API that is used. */
interface JaxArray {
  readonly ref: JaxArray;
  add(other: JaxArray): JaxArray;
  sub(other: JaxArray): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  reshape(shape: number[]): JaxArray;
  transpose(): JaxArray;
  sum(): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Compiled<F> = F & { dispose(): void };

interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): void;
  blockUntilReady(arrays: JaxArray | JaxArray[]): Promise<unknown>;
  jit<F extends (...args: JaxArray[]) => JaxArray | JaxArray[]>(fn: F): Compiled<F>;
  vjp(fn: (x: JaxArray) => JaxArray, primals: [JaxArray]): [JaxArray, Compiled<(cotangent: JaxArray) => [JaxArray]>];
  grad(fn: (...args: JaxArray[]) => JaxArray, options: { argnums: number[] }): (...args: JaxArray[]) => JaxArray[];
  lax: { convGeneralDilated(x: JaxArray, w: JaxArray, strides: number[], padding: number[][]): JaxArray };
  nn: { relu(x: JaxArray): JaxArray };
  numpy: {
    array(values: Float32Array): JaxArray;
    zeros(shape: number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
  };
}

const PACKAGE: string = '@jax-js/jax'; // not installed with the project: the compiler must not look for it

export async function open(): Promise<Engine> {
  const adapter = await provideNavigator();
  const jax = (await import(PACKAGE)) as Jax;
  if (!(await jax.init('webgpu')).includes('webgpu')) throw new Error('its WebGPU backend does not start');
  jax.defaultDevice('webgpu');
  return { adapter, prepare: async (row) => prepare(jax, row) };
}

const pads = (pad: number): number[][] => [
  [pad, pad],
  [pad, pad],
];

async function prepare(jax: Jax, row: PeerRow): Promise<PreparedRow | null> {
  if (row.kind === 'training') return prepareTraining(jax);
  const array = (values: Float32Array, shape: number[]) => jax.numpy.array(values).reshape(shape);
  if (row.kind === 'matmul') {
    const { a, b } = matmulInputs(row.n);
    const product = (x: JaxArray, y: JaxArray) => jax.numpy.matmul(x, y.transpose());
    return keepLast(jax, [array(a, [row.n, row.n]), array(b, [row.n, row.n])], product);
  }
  if (row.kind !== 'conv') return null;
  const { C, K, H, W, side, stride, pad } = row.layer;
  const { OH, OW } = outputSize(row.layer);
  const inputs = convInputs(row.layer);
  const x = () => array(inputs.x, [1, C, H, W]);
  const w = () => array(inputs.w, [K, C, side, side]);
  const dy = () => array(inputs.dy, [1, K, OH, OW]);
  const conv = (a: JaxArray, b: JaxArray) => jax.lax.convGeneralDilated(a, b, [stride, stride], pads(pad));
  if (row.pass === 'forward') return keepLast(jax, [x(), w()], conv);
  const input = row.pass === 'input gradient';
  // The operation is linear in each argument, so the forward pass of `vjp` is dead code that `jit` drops.
  const gradient = (variable: JaxArray, fixed: JaxArray, cotangent: JaxArray) => {
    const [y, back] = jax.vjp((v) => (input ? conv(v, fixed) : conv(fixed, v)), [variable]);
    y.dispose();
    const [result] = back(cotangent);
    back.dispose();
    return result;
  };
  return keepLast(jax, input ? [x(), w(), dy()] : [w(), x(), dy()], gradient);
}

function keepLast(jax: Jax, inputs: JaxArray[], fn: (...args: JaxArray[]) => JaxArray): PreparedRow {
  const compiled = jax.jit(fn);
  let result: JaxArray | undefined;
  return {
    async run() {
      result?.dispose();
      result = compiled(...inputs.map((array) => array.ref));
      await jax.blockUntilReady(result);
    },
    elements: async (indices) => pick(await result!.ref.data(), indices),
    dispose() {
      [...inputs, result].forEach((array) => array?.dispose());
      compiled.dispose();
    },
  };
}

function prepareTraining(jax: Jax): PreparedRow {
  const { image, filters } = trainingInputs();
  const array = (values: Float32Array, shape: number[]) => jax.numpy.array(values).reshape(shape);
  const x = array(image, [1, 3, 160, 160]);
  const shapes = TRAINING_LAYERS.flatMap(({ C, K, side }) => [
    [K, C, side, side],
    [1, K, 1, 1],
  ]);
  let parameters = shapes.map((shape, i) => (i % 2 === 0 ? array(filters[i / 2]!, shape) : jax.numpy.zeros(shape)));
  let momenta = shapes.map((shape) => jax.numpy.zeros(shape));
  const count = shapes.length;
  const loss = (picture: JaxArray, ...values: JaxArray[]): JaxArray => {
    let y = picture;
    TRAINING_LAYERS.forEach(({ stride, pad }, i) => {
      const map = jax.lax.convGeneralDilated(y, values[2 * i]!, [stride, stride], pads(pad));
      y = jax.nn.relu(map.add(values[2 * i + 1]!));
    });
    return y.ref
      .mul(y)
      .sum()
      .mul(1 / OUTPUT_ELEMENTS);
  };
  const gradients = jax.grad(loss, { argnums: Array.from({ length: count }, (_, i) => i + 1) });
  /** Image, parameters, momenta -> new parameters, new momenta. */
  const step = jax.jit((picture: JaxArray, ...state: JaxArray[]) => {
    const [values, before] = [state.slice(0, count), state.slice(count)];
    const moments = gradients(picture, ...values.map(({ ref }) => ref)).map((gradient, i) =>
      before[i]!.mul(MOMENTUM).add(gradient.mul(LEARNING_RATE)),
    );
    return [...values.map((value, i) => value.sub(moments[i]!.ref)), ...moments];
  });
  return {
    async run() {
      const state = step(x.ref, ...parameters, ...momenta);
      await jax.blockUntilReady(state);
      [parameters, momenta] = [state.slice(0, count), state.slice(count)];
    },
    async elements(indices) {
      const moved = (await parameters[0]!.ref.data()).map((value, i) => value - filters[0]![i]!);
      return pick(moved, indices);
    },
    dispose() {
      [x, ...parameters, ...momenta].forEach((array) => array.dispose());
      step.dispose();
    },
  };
}
