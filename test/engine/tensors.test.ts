/** What the engine promises besides numbers: order, lifetime of memory, errors of one line that say what is wrong. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import {
  add,
  averagePool2d,
  batchNorm,
  concat,
  constant,
  conv2d,
  convTranspose2d,
  dropout,
  embedding,
  type Gpu,
  groupNorm,
  layerNorm,
  linear,
  localResponseNorm,
  matmul,
  maxPool2d,
  mean,
  meanSquaredError,
  multiply,
  nms,
  pad,
  permute,
  relu,
  reshape,
  roiPool,
  scale,
  Sgd,
  smoothL1Loss,
  slice,
  softmax,
  softmaxLogLoss,
  subtract,
  sum,
  type Tensor,
} from '../../src/index.ts';
import { openGpu } from '../../src/node.ts';
import { kernel } from '../../src/kernels/kernel.ts';
import { scale as scaleKernel } from '../../src/kernels/elementwise.ts';
import { message, sharedGpu } from '../harness.ts';

/** A device of its own, for tests that break or close it. */
async function withGpu(fn: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu({ adapter: 'auto', defaultLimits: true });
  try {
    await fn(gpu);
  } finally {
    gpu.close();
  }
}

const values = async (tensor: Tensor) => [...(await tensor.read())];

// Order

test('a write takes effect between the operations recorded before and after it', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor([1, 2, 3], [3]);
    const before = scale(x, 2);
    x.write(Float32Array.of(10, 20, 30));
    const after = scale(x, 2);
    x.write(Float32Array.of(0, 0, 0));
    assert.equal(await values(before), [2, 4, 6]);
    assert.equal(await values(after), [20, 40, 60]);
  });
});

test('memory freed and written again does not reach the operation that was recorded on it', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor(new Float32Array(1000).fill(3), [1000]);
    const y = scale(x, 2);
    const buffer = x.storage;
    x.dispose();
    const reused = gpu.tensor(new Float32Array(1000).fill(-1), [1000]);
    assert.is(reused.storage, buffer, 'the pool hands out the freed buffer');
    assert.ok((await y.read()).every((value) => value === 6));
  });
});

test('every dispatch keeps its own uniforms over more dispatches than one submit holds', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const submits = gpu.statistics().submits;
    const x = gpu.tensor([1, -1], [2]);
    const scaled = Array.from({ length: 700 }, (_, i) => scale(x, i));
    const total = concat(scaled, 0);
    const expected = scaled.flatMap((_, i) => [i, i === 0 ? -0 : -i]);
    assert.equal(await values(total), expected);
    const used = gpu.statistics().submits - submits;
    assert.ok(used > 1 && used < 10, `${used} submits for 1400 dispatches`);
  });
});

test('integers keep their bits through concat, reshape and copy', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const a = gpu.tensor(Int32Array.of(1, -1, 2147483647), [3]);
    const b = gpu.tensor(Int32Array.of(-2147483648, 0, 7), [3]);
    const joined = reshape(concat([a, b], 0), [2, 3]);
    assert.equal(await values(joined), [1, -1, 2147483647, -2147483648, 0, 7]);
    assert.equal(await values(joined.copy()), [1, -1, 2147483647, -2147483648, 0, 7]);
  });
});

test('slice takes a part along any axis, and its gradient lies where the part was', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor(
      Array.from({ length: 12 }, (_, i) => i),
      [2, 3, 2],
    );
    x.requiresGrad = true;
    const middle = slice(x, 1, 1, 3);
    assert.equal(middle.shape, [2, 2, 2]);
    assert.equal(await values(middle), [2, 3, 4, 5, 8, 9, 10, 11]);
    assert.equal(await values(slice(x, -3, 1, 2)), [6, 7, 8, 9, 10, 11]);
    sum(middle).backward();
    assert.equal(await values(x.grad!), [0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1]);
  });
});

test('an empty tensor can be made, computed with and read', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const empty = gpu.tensor([], [0, 5]);
    assert.equal(await values(relu(empty)), []);
    assert.equal(await values(sum(empty)), [0]);
    assert.equal(linear(empty, gpu.zeros([3, 5]), null).shape, [0, 3]);
  });
});

test('what is computed from empty tensors alone has the gradient 0', async () => {
  const gpu = await sharedGpu();
  const cases: Record<string, [shapes: number[][], fn: (...inputs: Tensor[]) => Tensor]> = {
    'no matrices times one': [[[0, 2, 3], [3, 4]], (a, b) => matmul(a!, b!)], // prettier-ignore
    'transposed': [[[0, 3, 2], [3, 4]], (a, b) => matmul(a!, b!, { transposeA: true })], // prettier-ignore
    'one matrix times none': [[[2, 3], [0, 3, 4]], (a, b) => matmul(a!, b!)], // prettier-ignore
    'matrices without rows': [[[5, 0, 3], [3, 4]], (a, b) => matmul(a!, b!)], // prettier-ignore
    'no images, 3x3': [[[0, 32, 8, 8], [32, 32, 3, 3], [32]], (x, w, b) => conv2d(x!, w!, b!, { padding: 1 })], // prettier-ignore
    'no images, 1x1': [[[0, 8, 8, 8], [8, 8, 1, 1], [8]], (x, w, b) => conv2d(x!, w!, b!)], // prettier-ignore
    'no rows': [[[0, 3], [4, 3], [4]], (x, w, b) => linear(x!, w!, b!)], // prettier-ignore
    'factors': [[[2, 1, 3, 1], [1, 0, 1, 4]], (a, b) => multiply(a!, b!)], // prettier-ignore
    'normalised rows': [[[0, 4], [4], [4]], (x, w, b) => layerNorm(x!, w!, b!)], // prettier-ignore
    'empty rows': [[[3, 0]], (x) => layerNorm(x!, null, null)],
    'groups of no images': [[[0, 4, 2], [4], [4]], (x, w, b) => groupNorm(x!, 2, w!, b!)], // prettier-ignore
    'rows of a table': [[[5, 4]], (table) => embedding(table!, gpu.tensor(new Int32Array(0), [0]))],
  };
  for (const [name, [shapes, fn]] of Object.entries(cases)) {
    await gpu.scope(async () => {
      const inputs = shapes.map((shape) => gpu.parameter(constant(1), shape, name));
      const y = fn(...inputs);
      assert.is(y.size, 0, name);
      // Memory that has held something else.
      for (const tensor of shapes.map((shape) => gpu.tensor(constant(7)(shape), shape))) tensor.dispose();
      sum(y).backward();
      for (const { grad, size } of inputs) assert.equal(await values(grad!), Array<number>(size).fill(0), name);
      inputs.forEach((input) => input.dispose());
    });
  }
});

// Lifetime

test('a scope frees what is made inside, keeps what is returned, and nests', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  const parameter = gpu.parameter(Float32Array.of(1, 2), [2], 'kept');
  const inner: Tensor[] = [];
  const outer = gpu.scope(() => {
    const { sum: kept, list } = gpu.scope(() => {
      const x = gpu.tensor([1, 2], [2], 'inner');
      inner.push(x);
      return { sum: add(x, parameter), list: [scale(x, 3)] };
    });
    assert.ok(inner[0]!.freed);
    inner.push(kept, list[0]!);
    return add(kept, list[0]!);
  });
  assert.ok(inner.every((tensor) => tensor.freed));
  assert.equal(await values(outer), [5, 10]);
  outer.dispose();
  assert.not.ok(parameter.freed);
  parameter.dispose();
  assert.is(gpu.statistics().liveBytes, live);
});

test('an async scope ends when its promise does', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  let inside: Tensor | undefined;
  const kept = await gpu.scope(async () => {
    inside = gpu.tensor([1, 2], [2]);
    await inside.read();
    assert.not.ok(inside.freed);
    const doubled = scale(inside, 2);
    await gpu.scope(async () => assert.equal(await values(relu(doubled)), [2, 4]));
    return doubled;
  });
  assert.ok(inside!.freed);
  assert.equal(await values(kept), [2, 4]);
  kept.dispose();
  assert.is(gpu.statistics().liveBytes, live);
});

test('of two async scopes that overlap both are named', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  let endFirst = (): void => {};
  const first = gpu.scope(async function training() {
    const made = gpu.tensor([1], [1]);
    await new Promise<void>((resolve) => (endFirst = resolve));
    return made;
  });
  let endSecond = (): void => {};
  const second = gpu.scope(async () => {
    gpu.tensor([1], [1]);
    await new Promise<void>((resolve) => (endSecond = resolve));
  });
  endFirst();
  assert.match(
    await message(() => first),
    /^scope: two async scopes overlap, .*: 'training' has ended before 'async ?\(\) ?=> ?\{.*', which began after it; /,
  );
  endSecond();
  await second;
  assert.is(gpu.statistics().liveBytes, live);
});

test('functions that would end before an async function does refuse it', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  const late = async (): Promise<Tensor> => {
    await Promise.resolve();
    return gpu.empty([1]);
  };
  const calls: Record<string, (fn: () => Promise<Tensor>) => unknown> = {
    withoutGradients: (fn) => gpu.withoutGradients(fn),
    withPlans: (fn) => gpu.withPlans(gpu.plans, fn),
    transient: (fn) => gpu.transient(fn as unknown as () => Tensor),
    measure: (fn) => gpu.measure(fn),
    compile: (fn) => gpu.compile(fn),
  };
  for (const [name, call] of Object.entries(calls)) {
    const expected = new RegExp(`^${name}: its function is async, but ${name} ends at the first await: `);
    let made: Promise<Tensor> | undefined;
    assert.match(await message(() => call(() => (made = late()))), expected);
    (await made!).dispose();
  }
  assert.ok(gpu.gradientsEnabled && gpu.rehearsal === null);
  assert.is(gpu.statistics().liveBytes, live);
});

test('a profile and a read that fail leave nothing behind', async () => {
  const gpu = await sharedGpu();
  const open = new Set<unknown>();
  const { device } = gpu;
  const watch = (name: 'createBuffer' | 'createQuerySet') => {
    const make = device[name].bind(device) as (descriptor: never) => GPUBuffer;
    device[name] = ((descriptor: never) => {
      const made = make(descriptor);
      const destroy = made.destroy.bind(made);
      open.add(made);
      made.destroy = () => (open.delete(made), destroy());
      return made;
    }) as never;
    return () => Reflect.deleteProperty(device, name);
  };
  const x = gpu.tensor([1, 2], [2], 'x');
  const restore = [watch('createBuffer'), watch('createQuerySet')];
  try {
    let reading: Promise<unknown> | undefined;
    gpu.measure(() => void (reading = gpu.empty([1]).read()).catch(() => {}));
    assert.match(await message(() => reading), /inside gpu.measure/);
    if (device.features.has('timestamp-query')) {
      assert.is(await message(() => gpu.profile(() => Promise.reject(new Error('broken')))), 'broken');
      const times = await gpu.profile(async () => {
        assert.match(await message(() => gpu.profile(() => {})), /^profile: another profile is being taken/);
      });
      assert.equal(times, []);
    }
    assert.is(open.size, 0);
  } finally {
    restore.forEach((undo) => undo());
  }
  x.dispose();
});

test('shaders compiled beforehand: nothing is computed, the bits stay, one that is broken is named', async () => {
  await withGpu(async (gpu) => {
    const x = gpu.tensor([1, -2, 3], [3]);
    const work = () => relu(scale(x, 2));
    const before = gpu.statistics();
    const report = await gpu.compile(work);
    assert.is(report.shaders, 2);
    const after = gpu.statistics();
    assert.is(after.pipelines - before.pipelines, 2);
    assert.is(after.dispatches, before.dispatches);
    assert.is(after.liveBytes, before.liveBytes);
    assert.ok(after.compileMilliseconds > before.compileMilliseconds);
    assert.is((await gpu.compile(work)).shaders, 0);
    assert.equal(await values(work()), [2, 0, 6]);
    assert.is(gpu.statistics().pipelines, after.pipelines);

    const both = await Promise.all([gpu.compile(() => multiply(x, x)), gpu.compile(() => multiply(x, x))]);
    assert.ok(both.every(({ shaders }) => shaders <= 1));
    assert.is(gpu.statistics().pipelines, after.pipelines + 1);
    assert.equal(await values(multiply(x, x)), [1, 4, 9]);

    const y = gpu.empty([4]);
    const text = await message(() => gpu.compile(() => gpu.run(BROKEN, { y }, {})));
    assert.match(text, /^shader broken: /);
    assert.match(text, /unresolved value 'undefined_name'/);
  });
});

test('an error frees everything its scopes had made', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  const fail = () => {
    gpu.tensor([1], [1]);
    gpu.scope(() => {
      relu(gpu.tensor([1], [1]));
      throw new Error('broken');
    });
  };
  assert.is(await message(() => gpu.scope(fail)), 'broken');
  assert.is(await message(() => gpu.scope(async () => (await Promise.resolve(), fail()))), 'broken');
  assert.is(gpu.statistics().liveBytes, live);
});

test('a returned leaf keeps its gradient', async () => {
  const gpu = await sharedGpu();
  const x = gpu.scope(() => {
    const leaf = gpu.tensor([1, -2], [2]);
    leaf.requiresGrad = true;
    sum(relu(leaf)).backward();
    return leaf;
  });
  assert.equal(await values(x.grad!), [1, 0]);
  x.dispose();
});

test('a border of no width gives a tensor of its own', async () => {
  const gpu = await sharedGpu();
  const x = gpu.tensor([1, 2], [2]);
  pad(x, [[0, 0]]).dispose();
  assert.equal(await values(x), [1, 2]);
  x.dispose();
});

test('a view keeps the memory of what it was made from', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  const x = gpu.tensor([1, 2, 3, 4], [4]);
  const y = reshape(x, [2, -1]);
  assert.is(gpu.statistics().liveBytes, live + 16);
  x.dispose();
  assert.equal(await values(y), [1, 2, 3, 4]);
  y.dispose();
  assert.is(gpu.statistics().liveBytes, live);
});

test('a repeated computation takes its buffers from the pool and its bind groups from the cache', async () => {
  const gpu = await sharedGpu();
  const step = () =>
    gpu.scope(() => {
      const x = gpu.tensor(new Float32Array(777), [777]);
      return void softmax(reshape(relu(scale(x, 2)), [7, 111]), 1);
    });
  step();
  step();
  const before = gpu.statistics();
  for (let i = 0; i < 20; i++) step();
  const after = gpu.statistics();
  assert.is(after.buffersCreated, before.buffersCreated);
  assert.is(after.bindGroupsCreated, before.bindGroupsCreated);
  assert.is(after.pipelines, before.pipelines);
  assert.is(after.liveBytes, before.liveBytes);
  assert.ok(after.pooledBytes > 0);
});

test('trim gives pooled memory back, and computing continues', async () => {
  await withGpu(async (gpu) => {
    gpu.scope(() => void relu(gpu.tensor([1, 2], [2])));
    assert.ok(gpu.statistics().pooledBytes > 0);
    gpu.trim();
    assert.is(gpu.statistics().pooledBytes, 0);
    assert.equal(await gpu.scope(() => values(relu(gpu.tensor([-1, 2], [2])))), [0, 2]);
  });
});

// Errors

test('an operation names itself, the argument, its shape and the one expected', async () => {
  const gpu = await sharedGpu();
  const f = (...shape: number[]) => gpu.zeros(shape);
  const labels = (...shape: number[]) => gpu.tensor(new Int32Array(shape.reduce((a, b) => a * b, 1)), shape, 'labels');
  const cases: [fn: () => unknown, expected: string][] = [
    [() => conv2d(f(3, 5, 5), f(2, 3, 3, 3), null), 'conv2d: x has shape [3,5,5], expected [N,C,H,W]'],
    [() => conv2d(f(1, 3, 5, 5), f(2, 4, 3, 3), null), 'conv2d: weight has shape [2,4,3,3], expected [2,3,3,3]'],
    [() => conv2d(f(1, 3, 5, 5), f(2, 3, 3, 3), f(3)), 'conv2d: bias has shape [3], expected [2]'],
    [
      () => conv2d(f(1, 3, 5, 2), f(2, 3, 3, 3), null),
      'conv2d: a 3x3 filter does not fit into a 5x2 map with padding 0',
    ],
    [() => conv2d(f(1, 3, 5, 5), f(2, 3, 3, 3), null, { stride: 0 }), 'conv2d: stride 0 is not a positive integer'],
    [
      () => conv2d(f(1, 3, 5, 5), f(2, 3, 3, 3), null, { padding: 0.5 }),
      'conv2d: padding 0.5 is not a whole number of pixels',
    ],
    [() => linear(f(2, 3, 1), f(4, 3), null), 'linear: x has shape [2,3,1], expected [R,I]'],
    [() => linear(f(2, 3), f(4, 5), null), 'linear: weight has shape [4,5], expected [4,3]'],
    [() => linear(f(2, 3), f(4, 3), f(3)), 'linear: bias has shape [3], expected [4]'],
    [
      () => add(f(2, 3), f(3, 2)),
      'add: a has shape [2,3] and b [3,2], expected their extents, counted from the last, to be equal or 1',
    ],
    [
      () => multiply(f(2, 3), f(6)),
      'multiply: a has shape [2,3] and b [6], expected their extents, counted from the last, to be equal or 1',
    ],
    [
      () => subtract(f(2), f(2, 3)),
      'subtract: a has shape [2] and b [2,3], expected their extents, counted from the last, to be equal or 1',
    ],
    [() => matmul(f(2, 3), f(2, 3)), 'matmul: a has shape [2,3], b has [2,3]; expected equal extents K, not 3 and 2'],
    [
      () => matmul(f(3, 2), f(3, 4), { transposeB: true }),
      'matmul: a has shape [3,2], b has [3,4], b transposed; expected equal extents K, not 2 and 4',
    ],
    [() => matmul(f(3), f(3, 4)), 'matmul: a has shape [3], b has [3,4]; expected [.., M, K] and [.., K, N]'],
    [
      () => matmul(f(2, 3, 4), f(3, 4, 5)),
      'matmul: a has shape [2,3,4], b has [3,4,5]; expected leading axes that are equal or 1',
    ],
    [() => permute(f(2, 3), [0, 0]), 'permute: order [0,0] does not name each axis of [2,3] once'],
    [() => permute(f(2, 3), [0]), 'permute: order [0] does not name each axis of [2,3] once'],
    [() => mean(f(2, 3), 2), 'mean: axis 2 does not exist in a tensor of 2 axes'],
    [
      () => batchNorm(f(2, 3), f(2), f(3), { mean: f(3), variance: f(3) }, { training: true }),
      'batchNorm: weight has shape [2], expected [3]',
    ],
    [
      () => averagePool2d(f(1, 1, 2, 2), { kernel: 3 }),
      'averagePool2d: an input of 2 cells is too small for kernel 3 with padding 0',
    ],
    [
      () => convTranspose2d(f(1, 2, 3, 3), f(2, 4, 3, 3), null, { stride: 2, outputPadding: 2 }),
      'convTranspose2d: a 3x3 filter on a 3x3 map with stride 2, padding 0, outputPadding 2; ' +
        'expected whole numbers, outputPadding < stride, and a result of a cell at least',
    ],
    [
      () => convTranspose2d(f(1, 2, 3, 3), f(4, 2, 3, 3), null),
      'convTranspose2d: weight has shape [4,2,3,3], expected [2,2,3,3]',
    ],
    [() => meanSquaredError(f(2, 3), f(3)), 'meanSquaredError: target has shape [3], expected [2,3]'],
    [() => reshape(f(2, 3), [4, -1]), 'reshape: [2,3] has 6 elements, [4,-1] cannot hold them'],
    [() => reshape(f(2, 3), [-1, -1]), 'reshape: [2,3] has 6 elements, [-1,-1] cannot hold them'],
    [() => concat([], 0), 'concat: no tensors given'],
    [() => concat([f(2, 3), f(2, 4)], 0), 'concat: shapes [2,3] and [2,4] differ outside axis 0'],
    [() => concat([f(2, 3), f(2, 3)], 2), 'concat: axis 2 does not exist in a tensor of 2 axes'],
    [() => slice(f(2, 3), 1, 2, 4), 'slice: [2, 4) is not part of axis 1 of [2,3]'],
    [() => softmax(f(2, 3), -3), 'softmax: axis -3 does not exist in a tensor of 2 axes'],
    [() => maxPool2d(f(3, 5, 5), { kernel: 2 }), 'maxPool2d: x has shape [3,5,5], expected [N,C,H,W]'],
    [() => maxPool2d(f(1, 3, 5, 5), { kernel: 2, padding: 2 }), 'maxPool2d: padding 2 is more than half the kernel 2'],
    [
      () => localResponseNorm(f(5, 5), { size: 3, alpha: 1, beta: 1, k: 1, mode: 'within' }),
      'localResponseNorm: x has shape [5,5], expected [N,C,H,W]',
    ],
    [
      () => localResponseNorm(f(1, 1, 5, 5), { size: 4, alpha: 1, beta: 1, k: 1, mode: 'within' }),
      'localResponseNorm: size 4 is even, a window needs a centre',
    ],
    [() => dropout(f(3), { p: 1, seed: 0 }), 'dropout: p is 1, expected 0 <= p < 1'],
    [() => softmaxLogLoss(f(4, 3), labels(3)), 'softmaxLogLoss: labels has shape [3], expected [4]'],
    [() => softmaxLogLoss(f(4, 3), f(4)), 'softmaxLogLoss: labels is f32, expected i32, made of an Int32Array'],
    [() => smoothL1Loss(f(4, 3), f(3, 4)), 'smoothL1Loss: target has shape [3,4], expected [4,3]'],
    [
      () => smoothL1Loss(f(4, 3), f(4, 3), { outsideWeights: f(4) }),
      'smoothL1Loss: outsideWeights has shape [4], expected [4,3]',
    ],
    [
      () => roiPool(f(1, 1, 4, 4), f(2, 5), { size: 256, spatialScale: 1 }),
      'roiPool: size is 256, expected whole numbers of bins from 1 to 255',
    ],
    [
      () => roiPool(f(1, 1, 4, 4), f(2, 5), { size: [7, 0], spatialScale: 1 }),
      'roiPool: size is 7,0, expected whole numbers of bins from 1 to 255',
    ],
    [
      () => roiPool(f(1, 1, 4, 4), f(2, 4), { size: 2, spatialScale: 1 }),
      'roiPool: rois has shape [2,4], expected [2,5]',
    ],
    [() => nms(f(3, 5), f(3), { iouThreshold: 0.5 }), 'nms: boxes has shape [3,5], expected [3,4]'],
    [() => relu(labels(3)), 'relu: labels [3] is i32, expected f32'],
    [() => add(f(3), labels(3)), 'add: labels [3] is i32, expected f32'],
    [() => gpu.tensor([1, 2], [3], 'x'), 'tensor x: 2 values do not fill the shape [3]'],
    [() => f(3).write(new Float32Array(2)), 'tensor zeros [3] holds 3 values, 2 were given'],
    [() => f(3).write(new Int32Array(3)), 'tensor zeros [3] is f32, but the values given are Int32Array'],
    [() => labels(3).write(new Float32Array(3)), 'tensor labels [3] is i32, but the values given are Float32Array'],
    [() => f(2.5, 2), 'tensor zeros: [2.5,2] is not a shape; extents are whole numbers'],
    [() => gpu.tensor([], [-1, 0], 'x'), 'tensor x: [-1,0] is not a shape; extents are whole numbers'],
  ];
  const live = gpu.statistics().liveBytes;
  for (const [fn, expected] of cases) assert.is(await message(() => gpu.scope(fn)), expected);
  assert.is(gpu.statistics().liveBytes, live);
});

test('a tensor of another device is refused by name, and spoils nothing', async () => {
  const gpu = await sharedGpu();
  await withGpu(async (other) => {
    const own = gpu.tensor([1, 2], [2], 'own');
    const foreign = other.tensor([3, 4], [2], 'foreign');
    assert.is(await message(() => gpu.scope(() => add(own, foreign))), 'add_2: foreign (x1) belongs to another Gpu');
    assert.equal(await gpu.scope(() => values(add(own, own))), [2, 4]);
    own.dispose();
  });
});

test('values may be any list of numbers; a tensor keeps its own type', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const bytes = gpu.tensor(Uint8Array.of(0, 255), [2]);
    assert.is(bytes.dtype, 'f32');
    assert.equal(await values(bytes), [0, 255]);
    bytes.write([1.5, -2]);
    assert.equal(await values(bytes), [1.5, -2]);
    const labels = gpu.tensor(Int32Array.of(1, 2), [2]);
    labels.write(Uint8Array.of(7, 8));
    assert.equal(await values(labels), [7, 8]);
  });
});

test('NaN check mode reports a label that is not a class', async () => {
  const gpu = await sharedGpu();
  gpu.nanCheck = true;
  try {
    const loss = (...labels: number[]) =>
      gpu.scope(() => softmaxLogLoss(gpu.zeros([2, 3]), gpu.tensor(Int32Array.from(labels), [2], 'labels')).read());
    await loss(2, -1);
    const expected = 'softmaxLogLoss: labels [2] has a label that is none of 0 to 2, nor -1, which is ignored';
    assert.is(await message(() => loss(1, 3)), expected);
    assert.is(await message(() => loss(-2, 1)), expected);
  } finally {
    gpu.nanCheck = false;
  }
});

test('an optimizer refuses rates that are not numbers, and a step without gradients', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter([1, 2], [2], 'w');
  const step = (learningRate: number, divisor = 1) => {
    const sgd = new Sgd([w], { learningRate });
    try {
      sgd.step(divisor);
    } finally {
      sgd.dispose();
    }
  };
  assert.is(await message(() => step(NaN)), 'Sgd: learningRate is NaN, expected a number from 0 on');
  assert.is(
    await message(() => step(undefined as never)),
    'Sgd: learningRate is undefined, expected a number from 0 on',
  );
  assert.is(await message(() => step(1, 0)), 'Sgd: the divisor is 0, expected a number above 0');
  const without = 'Sgd: no parameter has a gradient; call backward() on a loss that depends on them first';
  assert.is(await message(() => step(1)), without);
  assert.equal(await values(w), [1, 2]);
  w.dispose();
});

test('backward says why it cannot', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(Float32Array.of(1, 2), [2], 'w');
  const run = (fn: () => void) => message(() => gpu.scope(fn));
  assert.match(await run(() => relu(w).backward()), /^backward: relu w has shape \[2\], a loss is one number$/);
  assert.match(
    await run(() => sum(gpu.zeros([3])).backward()),
    /^backward: sum zeros was not computed from a parameter/,
  );
  assert.match(await run(() => gpu.withoutGradients(() => sum(w)).backward()), /^backward: sum w was not computed/);
  const twice = await run(() => {
    const loss = sum(w);
    loss.backward();
    loss.backward();
  });
  assert.match(twice, /^backward: the graph of sum w was used up/);
  // Silently, the second loss would give w no gradient at all.
  const shared = await run(() => {
    const trunk = relu(w);
    sum(trunk).backward();
    sum(scale(trunk, 3)).backward();
  });
  assert.match(shared, /^backward: the graph of relu w was used up/);
  w.dispose();
});

test("a buffer above the device's limits is refused by name, size and limit", async () => {
  await withGpu(async (gpu) => {
    const limit = Math.min(gpu.device.limits.maxBufferSize, gpu.device.limits.maxStorageBufferBindingSize);
    assert.is(limit, 128 * 1024 * 1024);
    const floats = limit / 4 + 1;
    assert.is(
      await message(() => gpu.empty([floats], 'f32', 'fc6.weight')),
      `fc6.weight: needs a buffer of ${limit + 16} bytes, but this device binds at most ${limit}; use smaller or fewer images at once, or another adapter`,
    );
    assert.is(gpu.statistics().liveBytes, 0);
    gpu.empty([floats - 1], 'f32', 'just fits').dispose();
    await gpu.finish();
  });
});

test('a closed device says so', async () => {
  const gpu = await openGpu({ adapter: 'auto' });
  const x = gpu.tensor([1], [1], 'x');
  gpu.close();
  gpu.close();
  for (const use of [() => gpu.tensor([1], [1]), () => relu(x), () => x.read(), () => gpu.finish()]) {
    assert.is(await message(use), 'this Gpu is closed');
  }
  x.dispose();
});

const BROKEN = kernel({
  name: 'broken',
  buffers: { y: 'write' },
  uniforms: {},
  grid: () => [1, 1, 1],
  body: 'y[0] = undefined_name;',
});

test('a shader that does not compile surfaces on the next call, with its numbered source', async () => {
  await withGpu(async (gpu) => {
    const y = gpu.empty([4]);
    gpu.run(BROKEN, { y }, {});
    const text = await message(() => y.read());
    assert.match(text, /^shader broken: /);
    assert.match(text, /unresolved value 'undefined_name'/);
    assert.match(text, /\n +10 \|   y\[0\] = undefined_name;/);
    assert.match(await message(() => gpu.zeros([1])), /^shader broken: /);
  });
  // Dawn may report that the pipeline is invalid before it says why.
  await withGpu(async (gpu) => {
    const y = gpu.empty([4]);
    gpu.run(BROKEN, { y }, {});
    gpu.flush();
    for (const wait of [() => gpu.finish(), () => gpu.finish(), () => y.read()]) {
      assert.match(await message(wait), /^shader broken: /);
    }
  });
});

test('a kernel that lacks a buffer or uniform names it', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([4]);
  const run = gpu.run.bind(gpu) as (...args: unknown[]) => void;
  assert.is(await message(() => run(scaleKernel, { x }, { n: 4, factor: 1 })), 'scale: buffer y is missing');
  assert.is(await message(() => run(scaleKernel, { x, y: x.copy() }, { n: 4 })), 'scale: uniform factor is missing');
  assert.equal(await values(x), [0, 0, 0, 0]);
});

test('a device out of memory is reported with what to do, its other errors as they are', async () => {
  await withGpu(async (gpu) => {
    const error = new GPUOutOfMemoryError('no room');
    gpu.device.dispatchEvent(Object.assign(new Event('uncapturederror'), { error }));
    assert.throws(
      () => gpu.zeros([1]),
      (thrown: unknown) =>
        thrown instanceof UserError &&
        thrown.message ===
          'the device is out of memory (no room); use smaller or fewer images at once, or another adapter',
    );
  });
  await withGpu(async (gpu) => {
    const error = new GPUValidationError('wrong');
    gpu.device.dispatchEvent(Object.assign(new Event('uncapturederror'), { error }));
    assert.throws(
      () => gpu.zeros([1]),
      (thrown: unknown) => !(thrown instanceof UserError) && (thrown as Error).message === 'wrong',
    );
  });
});

test.run();
