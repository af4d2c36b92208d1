/** Operations in ONNX Runtime give what the engine gives, for maps of another size than those that were traced. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as engine from '../../src/index.ts';
import type { Shape, Tensor } from '../../src/index.ts';
import { gaussian } from '../../src/engine/initializers.ts';
import { userError } from '../data/fixtures.ts';
import { expectSameValues, type Given, type Inputs } from './sameValues.ts';

/** Feeds both the same values, of shapes that differ from those that were traced. */
async function expectSame(
  what: string,
  compute: (inputs: Inputs) => Tensor,
  traced: Readonly<Record<string, Shape>>,
  given: Readonly<Record<string, Given>>,
): Promise<void> {
  await expectSameValues(what, (inputs) => ({ y: compute(inputs) }), given, traced);
}

const normal = (shape: readonly number[], seed: number) => ({ shape, values: gaussian(1, seed)(shape) });
const positive = (shape: readonly number[], seed: number) => {
  const { values } = normal(shape, seed);
  return { shape, values: values.map((value) => 0.1 + Math.abs(value)) };
};

const MAP = [1, 3, 8, 8];
const OTHER = [1, 3, 5, 12];

test('functions of one number', async () => {
  const functions = ['sigmoid', 'tanh', 'softplus', 'exp', 'abs', 'hardSigmoid', 'hardSwish', 'gelu', 'silu'] as const;
  for (const name of functions)
    await expectSame(name, ({ x }) => engine[name](x!), { x: MAP }, { x: normal(OTHER, 3) });
  for (const name of ['log', 'sqrt', 'reciprocal'] as const)
    await expectSame(name, ({ x }) => engine[name](x!), { x: MAP }, { x: positive(OTHER, 3) });
});

test('functions of two, bounds, softmax', async () => {
  for (const name of ['add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum', 'pow'] as const) {
    const given = { a: positive(OTHER, 4), b: positive([1, 3, 1, 1], 5) };
    await expectSame(name, ({ a, b }) => engine[name](a!, b!), { a: MAP, b: [1, 3, 1, 1] }, given);
  }
  await expectSame('clip', ({ x }) => engine.clip(x!, -0.5, 1), { x: MAP }, { x: normal(OTHER, 6) });
  for (const axis of [1, -1]) {
    await expectSame('softmax', ({ x }) => engine.softmax(x!, axis), { x: MAP }, { x: normal(OTHER, 6) });
    await expectSame('logSoftmax', ({ x }) => engine.logSoftmax(x!, axis), { x: MAP }, { x: normal(OTHER, 6) });
  }
});

test('sums and means over any axes: the divisor is that of the map at hand', async () => {
  for (const axes of [[2, 3], [1], [0, 3], []])
    for (const keepDims of [true, false]) {
      const x = normal(OTHER, 7);
      await expectSame(`sum ${axes}`, ({ x }) => engine.sum(x!, axes, { keepDims }), { x: MAP }, { x });
      await expectSame(`mean ${axes}`, ({ x }) => engine.mean(x!, axes, { keepDims }), { x: MAP }, { x });
    }
});

test('upsampling to the size of another map, which may come later on the tape, to cells, to a multiple', async () => {
  const traced = { x: [1, 2, 4, 4], like: [1, 3, 8, 8] };
  const given = { x: normal([1, 2, 3, 5], 8), like: normal([1, 3, 6, 15], 9) };
  for (const name of ['upsampleNearest', 'upsampleBilinear'] as const) {
    await expectSame(name, ({ x, like }) => engine[name](x!, like!), traced, given);
    const later = ({ x, like }: Inputs): Tensor => {
      const map = engine.tanh(like!);
      return engine.concat([engine[name](x!, map), map], 1);
    };
    await expectSame(name, later, traced, given);
    await expectSame('cells', ({ x }) => engine[name](x!, [16, 15]), { x: traced.x }, { x: given.x });
    const doubled = ({ x }: Inputs): Tensor => engine[name](x!, [2 * x!.shape[2]!, 3 * x!.shape[3]!]);
    await expectSame('a multiple', doubled, { x: traced.x }, { x: given.x });
    const odd = expectSame(
      'odd',
      ({ x }) => engine[name](x!, [2 * x!.shape[2]! + 1, 9]),
      { x: traced.x },
      { x: given.x },
    );
    assert.match(
      await userError(odd),
      new RegExp(`^axis 4_to_3 cannot be free: with 8 in place of 4, the operation ${name} .* has another form$`),
    );
  }
});

test('RoIAlign on the level of each region, in the order of the regions, a level without any too', async () => {
  const traced = { a: [1, 2, 16, 16], b: [1, 2, 8, 8], c: [1, 2, 4, 4], rois: [2, 5] };
  const boxes = [
    [0, 0, 60, 60],
    [5, 3, 255, 190],
    [0, 0, 0, 0],
    [100, 20, 230, 140],
    [-8, 30, 40, 300],
    [0, 0, 256, 200],
  ];
  const maps = { a: normal([1, 2, 48, 64], 10), b: normal([1, 2, 24, 32], 11), c: normal([1, 2, 12, 16], 12) };
  for (const aligned of [true, false])
    for (const [samplingRatio, list] of [
      [0, boxes],
      [2, boxes.slice(0, 5)],
    ] as const) {
      const rois = { shape: [list.length, 5], values: Float32Array.from(list.flatMap((box) => [0, ...box])) };
      const align = ({ a, b, c, rois }: Inputs): Tensor =>
        engine.roiAlign([a!, b!, c!], rois!, {
          size: 3,
          spatialScales: [1 / 4, 1 / 8, 1 / 16],
          samplingRatio,
          aligned,
        });
      await expectSame(`aligned ${aligned}, ${samplingRatio}`, align, traced, { ...maps, rois });
      const one = ({ a, rois }: Inputs): Tensor =>
        engine.roiAlign([a!], rois!, { size: [2, 3], spatialScales: [1 / 4], samplingRatio, aligned });
      await expectSame('one map', one, { a: traced.a, rois: traced.rois }, { a: maps.a, rois });
    }
});

test.run();
