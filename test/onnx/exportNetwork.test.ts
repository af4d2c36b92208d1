/** Networks of one's own: free axes, constants, names, special values, and what is refused. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as engine from '../../src/index.ts';
import { exportOnnxNetwork, gaussian, type Gpu, type Shape, type Tensor } from '../../src/index.ts';
import { parseOnnx } from '../../src/engine/onnxFile.ts';
import { userError } from '../data/fixtures.ts';
import { sharedGpu, skip } from '../harness.ts';
import { expectSameValues, type Given } from './sameValues.ts';

const normal = (shape: Shape, seed: number): Given => ({ shape, values: gaussian(1, seed)(shape) });
const whole = (shape: Shape, ...values: number[]): Given => ({ shape, values: Int32Array.from(values) });
const floats = (...values: number[]): Given => ({ shape: [values.length], values: Float32Array.from(values) });

/** For the checker at the end. */
const models: Uint8Array[] = [];
const expectSame = async (...parameters: Parameters<typeof expectSameValues>): Promise<void> => {
  models.push(await expectSameValues(...parameters));
};

test('parts, borders and shapes of a tensor whose first two axes are free', async () => {
  const { slice, reshape, stack, split, pad, permute, concat, broadcastTo } = engine;
  await expectSame(
    'shapes',
    ({ x }) => {
      const [n, length] = x!.shape as [number, number, number];
      const rows = reshape(x!, [n * length, 6]);
      return {
        first: slice(x!, 1, 0, 2),
        rest: slice(x!, 1, 1, length),
        last: slice(x!, 1, length - 1, length),
        inner: slice(x!, 1, 1, length - 1),
        rows,
        back: reshape(permute(reshape(rows, [n, length, 2, 3]), [2, 0, 1, 3]), [2, n, -1]),
        stacked: stack([x!, x!], 0),
        parts: concat(split(x!, [2, 1, 3], 2).reverse(), 2),
        padded: pad(x!, [[0, 0], [1, 2], [3, 0]], -1.5), // prettier-ignore
        repeated: broadcastTo(slice(x!, 1, 0, 1), x!.shape),
      };
    },
    { x: normal([3, 5, 6], 1) },
    { x: [2, 4, 6] },
  );
});

test('numbers and tensors that the network makes become constants, with free extents too', async () => {
  const gpu = await sharedGpu();
  const table = gpu.tensor([1, 2, 3, 4], [4], 'outside');
  await expectSame(
    'constants',
    ({ x }) => {
      const [n] = x!.shape as [number, number];
      const state = gpu.zeros([n, 4]);
      const values = gpu.tensor([0.5, -1, 2, 8], [4], 'inside');
      return {
        sum: engine.add(engine.multiply(x!, 2), engine.add(state, engine.subtract(1, values))),
        outside: engine.multiply(x!.detach(), engine.maximum(x!.copy(), table)),
        alone: engine.add(values, 1),
      };
    },
    { x: normal([5, 4], 2) },
    { x: [2, 4] },
  );
  table.dispose();
});

test('products of matrices, either transposed, and attention with a mask, causal, over a free batch and length', async () => {
  await expectSame(
    'products',
    ({ a, b, mask }) => ({
      plain: engine.matmul(a!, b!, { transposeB: true }),
      both: engine.matmul(a!, b!, { transposeA: true }),
      one: engine.matmul(a!, engine.reshape(engine.slice(engine.slice(b!, 0, 0, 1), 1, 0, 1), [4, 1])),
      repeated: engine.matmul(engine.slice(a!, 0, 0, 1), b!, { transposeB: true }),
      attention: engine.scaledDotProductAttention(a!, b!, a!, { mask: mask! }),
      causal: engine.scaledDotProductAttention(a!, b!, b!, { causal: true, scale: 0.7 }),
    }),
    { a: normal([3, 5, 4], 3), b: normal([3, 5, 4], 4), mask: normal([5], 5) },
    { a: [2, 3, 4], b: [2, 3, 4], mask: [3] },
  );
});

test('choices, comparisons, extrema and their places: NaN, infinities and ties', async () => {
  const [a, b] = [floats(1, 2, NaN, Infinity, -Infinity, 0, -3, 5), floats(1, 3, 1, Infinity, 2, -0, NaN, 4)];
  await expectSame(
    'comparisons',
    ({ a, b }) => ({
      equal: engine.equal(a!, b!),
      notEqual: engine.notEqual(a!, b!),
      less: engine.less(a!, b!),
      lessEqual: engine.lessEqual(a!, b!),
      greater: engine.greater(a!, b!),
      greaterEqual: engine.greaterEqual(a!, b!),
      where: engine.where(a!, b!, 7),
      chosen: engine.where(engine.greater(a!, b!), engine.scale(a!, 2), b!),
    }),
    { a, b },
  );
  const x: Given = { shape: [2, 3, 4], values: Float32Array.from([3, 1, 3, 2, 0, 0, -1, 4, 5, 5, 5, 5, 1, 2, 3, 4, 4, 3, 2, 1, -7, 0, 7, 7]) }; // prettier-ignore
  await expectSame(
    'extrema',
    ({ x }) => {
      const { values, indices } = engine.topK(x!, 3);
      return {
        max: engine.max(x!),
        min: engine.min(x!, [0, 2]),
        kept: engine.max(x!, [1], { keepDims: true }),
        itself: engine.max(x!, []),
        argMax: engine.argMax(x!, 2),
        argMin: engine.argMin(x!, 0),
        values,
        indices,
        middle: engine.topK(x!, 2, 1).values,
        best: engine.gather(x!, 2, engine.slice(indices, 2, 0, 2)),
        sums: engine.cumsum(x!, -2),
      };
    },
    { x },
    { x: [3, 3, 5] },
  );
});

test('indices that do not exist give NaN, and i32 goes in and out', async () => {
  const gpu = await sharedGpu();
  const table = gpu.parameter(gaussian(1, 6), [5, 3], 'table');
  await expectSame(
    'indices',
    ({ words, x, at }) => ({
      rows: engine.embedding(table, words!),
      picked: engine.gather(x!, 1, at!),
      turned: engine.permute(engine.reshape(words!, [words!.shape[0]!, 3, 1]), [1, 0, 2]),
      joined: engine.concat([words!, at!], 1),
      of: engine.embedding(table, engine.argMax(x!, 1)),
    }),
    { words: whole([2, 3], 0, 4, 5, -1, 2, 2), x: normal([2, 4], 7), at: whole([2, 2], 3, -4, 4, 0) },
    { words: [1, 3], x: [1, 4], at: [1, 2] },
  );
  table.dispose();
});

test('normalisation and transposed convolution of maps of any size', async () => {
  const gpu = await sharedGpu();
  const [weight, bias] = [gpu.parameter(gaussian(1, 8), [4], 'weight'), gpu.parameter(gaussian(1, 9), [4], 'bias')];
  const filters = gpu.parameter(gaussian(1, 10), [4, 2, 3, 3], 'filters');
  await expectSame(
    'normalisation',
    ({ x, rows }) => ({
      groups: engine.groupNorm(x!, 2, weight, bias, 1e-3),
      channels: engine.groupNorm(x!, 4, null, bias),
      image: engine.groupNorm(x!, 1, weight, null),
      layer: engine.layerNorm(rows!, weight, bias),
      plain: engine.layerNorm(rows!, null, null, 0.1),
      larger: engine.convTranspose2d(x!, filters, gpu.tensor([1, -1], [2]), {
        stride: 2,
        padding: 1,
        outputPadding: 1,
      }),
    }),
    { x: normal([2, 4, 5, 7], 11), rows: normal([3, 4], 12) },
    { x: [1, 4, 6, 4], rows: [2, 4] },
  );
  [weight, bias, filters].forEach((tensor) => tensor.dispose());
});

test('half precision is rounded after every operation', async () => {
  const gpu = await sharedGpu();
  if (!gpu.hasHalf) return skip('no half precision here');
  const weight = gpu.parameter(gaussian(1, 13), [3, 4], 'weight');
  await expectSame(
    'half',
    ({ x }) => {
      const half = engine.cast(x!, 'f16');
      return {
        back: engine.cast(half, 'f32'),
        y: engine.cast(engine.linear(half, weight, null, { relu: true }), 'f32'),
      };
    },
    { x: normal([6, 4], 14) },
    { x: [2, 4] },
    { tolerance: 2 ** -9 }, // a device may round to either neighbour
  );
  weight.dispose();
});

test('modules: parameters by their names, of which no two are one', async () => {
  const gpu = await sharedGpu();
  const { BatchNorm2d, Conv2d, relu, Sequential } = engine;
  const network = new Sequential({ a: new Conv2d(gpu, 3, 4, 3, { padding: 1 }), n: new BatchNorm2d(gpu, 4), relu });
  network.train(false);
  const lone = new Conv2d(gpu, 4, 2, 1);
  const twin = gpu.parameter(gaussian(1, 15), [2, 1, 1], 'weight');
  const forward = ({ x }: Record<string, Tensor>) => {
    const map = network.forward(x!);
    return { map, y: engine.add(lone.forward(map), twin) };
  };
  const free = { 0: 'batch', 2: 'height', 3: 'width' };
  await expectSame('modules', forward, { x: normal([2, 3, 6, 9], 16) }, { x: [1, 3, 4, 5] });
  const bytes = await exportOnnxNetwork(gpu, forward, { inputs: { x: { shape: [1, 3, 4, 5], free } } });
  const { tensors } = parseOnnx(bytes, 'this');
  const names = Object.keys(tensors).filter((name) => !name.startsWith('constant_'));
  assert.equal(names.sort(), [
    'a.bias', 'a.weight', 'bias', 'n.bias', 'n.running_mean', 'n.running_var', 'n.weight', 'weight', 'weight_2',
  ]); // prettier-ignore
  assert.equal([...tensors['a.weight']!.data], [...(await network.state()['a.weight']!.read())]);
  [network, lone, twin].forEach((part) => part.dispose());
});

/** Refusals of networks on x [2, 4, 6], whose first two axes are free where `free` says so. */
const refusal = async (
  network: (x: Tensor, gpu: Gpu) => Record<string, Tensor>,
  free: Record<number, string> = { 0: 'batch', 1: 'length' },
): Promise<string> => {
  const gpu = await sharedGpu();
  return userError(exportOnnxNetwork(gpu, ({ x }) => network(x, gpu), { inputs: { x: { shape: [2, 4, 6], free } } }));
};

test('an axis that cannot be free is refused in a line that says why', async () => {
  const { reshape, scale, slice, add } = engine;
  const refused = async (network: Parameters<typeof refusal>[0], message: RegExp): Promise<void> =>
    assert.match(await refusal(network), message);
  const length = /^axis length cannot be free: with 8 in place of 4/;
  const inLine = (end: RegExp): RegExp => new RegExp(`${length.source}, ${end.source}$`);
  await refused(
    (x) => ({ y: scale(x, 1 / x.shape[1]!) }),
    inLine(/the operation scale \(.*, \[2,4,6\]\) has another form/),
  );
  await refused((x) => ({ y: slice(x, 1, 0, x.shape[1]! / 2) }), inLine(/the operation slice .* has another form/));
  await refused(
    (x) => ({ y: reshape(x, [2, 4, 6]) }),
    /^axis batch cannot be free: with 4 in place of 2, the network fails: reshape: /,
  );
  const places = (x: Tensor, gpu: Gpu) => gpu.tensor(Array.from({ length: x.shape[1]! }, (_, i) => i), [x.shape[1]!, 1], 'places'); // prettier-ignore
  await refused(
    (x, gpu) => ({ y: add(x, places(x, gpu)) }),
    inLine(/the operation gpu.tensor \(places, \[4,1\]\) has another form/),
  );
  const branching = (x: Tensor): Tensor => (x.shape[1]! > 6 ? engine.relu(x) : engine.tanh(x));
  await refused((x) => ({ y: branching(x) }), inLine(/the network runs the operation relu where it ran tanh/));
});

test('what cannot be exported is refused in one line', async () => {
  const fixed = {};
  const is = async (network: Parameters<typeof refusal>[0], message: RegExp): Promise<void> =>
    assert.match(await refusal(network, fixed), message);
  await is(
    (x) => ({ y: engine.dropout(x, { p: 0.5 }) }),
    /^the operation dropout is for training: export the network without it$/,
  );
  const running = (gpu: Gpu) => ({ mean: gpu.zeros([4]), variance: gpu.zeros([4]) });
  const norm = (x: Tensor, gpu: Gpu) =>
    engine.batchNorm(x, gpu.zeros([4]), gpu.zeros([4]), running(gpu), { training: true });
  await is(
    (x, gpu) => ({ y: norm(x, gpu) }),
    /^the operation batchNorm by the statistics of a batch is for training: call train\(false\)/,
  );
  await is(
    (x) => ({ y: engine.nms(engine.reshape(x, [12, 4]), engine.reshape(engine.slice(x, 1, 0, 1), [12]), { iouThreshold: 1 }) .count}), // prettier-ignore
    /^the operation nms has no form in ONNX with the count/,
  );
  await is(
    (x, gpu) => ({ y: engine.add(x, gpu.empty(x.shape, 'f32', 'nothing')) }),
    /^tensor nothing \[2,4,6\] is made inside the network, but no operation gives it values$/,
  );
  await is(
    (x, gpu) => ({ y: engine.add(x, gpu.parameter([1], [1], 'late')) }),
    /^tensor late \[1\] is made inside the network/,
  );
  const twice = engine.elementwise({ name: 'twice', buffers: { x: 'read', y: 'write' }, body: 'y[i] = 2.0 * x[i];' });
  const own = (x: Tensor, gpu: Gpu): Tensor => {
    const y = gpu.zeros(x.shape);
    gpu.run(twice, { x, y }, { n: x.size });
    return y;
  };
  await is(
    (x, gpu) => ({ y: engine.relu(own(x, gpu)) }),
    /^the kernel twice belongs to no operation, so this network cannot be exported$/,
  );
  await is((x) => ({ x }), /^output x has the name of an input: name it otherwise$/);
  await is(() => ({ y: 3 as never }), /^output y is no tensor; return \{ name: tensor \}$/);
  const gpu = await sharedGpu();
  const bad = (input: object): Promise<string> =>
    userError(exportOnnxNetwork(gpu, (inputs) => ({ y: Object.values(inputs)[0] as Tensor }), { inputs: { x: { shape: [2, 4], free: { 0: 'n' } }, z: input as never } })); // prettier-ignore
  assert.match(await bad({ shape: [2], dtype: 'f16' }), /^input z: dtype is f16, expected f32 or i32$/);
  assert.match(await bad({ shape: [2], free: { 1: 'n' } }), /^input z: there is no axis 1 \(n\) in the shape \[2\]$/);
  assert.match(
    await bad({ shape: [3], free: { 0: 'n' } }),
    /^input z: the axis n has extent 3, expected 2, as before$/,
  );
});

test("ONNX's checker accepts the models", () => {
  const python = ['/usr/bin/python3', 'python3'].find((name) => spawnSync(name, ['-c', 'import onnx']).status === 0);
  if (python === undefined) return skip('no python3 here has the package onnx');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-onnx-'));
  try {
    const files = models.map((_, i) => path.join(folder, `${i}.onnx`));
    files.forEach((file, i) => fs.writeFileSync(file, models[i]!));
    const program = 'import onnx, sys\nfor file in sys.argv[1:]: onnx.checker.check_model(file, full_check=True)';
    const { status, stderr } = spawnSync(python, ['-c', program, ...files], { encoding: 'utf8' });
    assert.is(status, 0, stderr);
    assert.ok(files.length >= 8);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
