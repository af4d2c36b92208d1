import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import { readWhole, shardRows, wholeParameters, writeWhole } from '../../src/engine/shards.ts';
import { connect, ParameterStore } from '../../src/model/backbones/backbone.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import { openGpu } from '../../src/node.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { randomArray, sharedGpu } from '../harness.ts';

/** The paper's detector for the 20 classes of VOC. */
const paperConfig = (backbone: 'vgg16' | 'zf'): DetectorConfig => ({
  ...PRESETS[`paper-${backbone}-voc07`]!.detector,
  classes: Array.from({ length: 21 }, (_, i) => `${i}`),
});

/** Width and height of pictures, and height and width of the network's input: the usual one and the largest. */
const PICTURES = [
  [500, 375, [600, 800]],
  [500, 300, [600, 1000]],
  [300, 500, [1000, 600]],
] as const;

const golden = JSON.parse(readFileSync(new URL('../golden/nn_ops.json', import.meta.url), 'utf8')).feature_size;

for (const [backbone, total, rpnOutputs] of [
  ['vgg16', 137_078_239, 512 * 6 * 9],
  ['zf', 59_294_751, 256 * 6 * 9],
] as const)
  test(`${backbone}: the paper's parameters, map sizes, and a training step and a detection within default bindings`, async () => {
    const gpu = await openGpu({ adapter: 'auto', defaultLimits: true });
    gpu.measure(() => {
      const model = new FasterRcnn(gpu, paperConfig(backbone), 1);
      const parameters = Object.values(model.parameters);
      assert.is(
        parameters.reduce((sum, { size }) => sum + size, 0),
        total,
      );
      const outputs = ['rpn.cls_score.weight', 'rpn.bbox_pred.weight'].map((name) => model.parameters[name]!.size);
      assert.is(outputs[0]! + outputs[1]!, rpnOutputs);
      for (const { size, name } of parameters) assert.ok(4 * size <= gpu.plans.device.maxBindingBytes, name);
      // The largest sides of the golden table do not fit a default binding at full width.
      golden.n.forEach((side: number, i: number) => {
        const map = gpu.scope(() =>
          gpu.withoutGradients(() => model.backbone.features(gpu.empty([1, 3, side, 224])).shape),
        );
        assert.equal(map, [1, model.backbone.channels, golden[backbone][i], golden[backbone][0]], `${side}`);
      });
      const frozen = parameters.filter(({ requiresGrad }) => !requiresGrad).length;
      assert.is(frozen, backbone === 'vgg16' ? 8 : 0); // conv1_1, conv1_2, conv2_1, conv2_2 with their biases
    });
    for (const frozenStages of [0, paperConfig(backbone).frozenStages]) {
      gpu.measure(() => {
        const model = new FasterRcnn(gpu, { ...paperConfig(backbone), frozenStages }, 1);
        for (const [width, height, prepared] of PICTURES) {
          gpu.scope(() => {
            const image = model.prepare({ width, height, rgba: new Uint8Array(4 * width * height) });
            assert.equal([image.height, image.width], prepared);
            const truth = model.truth([{ x1: 10, y1: 20, x2: 200, y2: 300, classIndex: 3 }], image);
            model.total(model.losses(image, truth, { random: true, seed: 1 })).backward({ free: true });
          });
          gpu.scope(() => model.detect(model.prepare({ width, height, rgba: new Uint8Array(4 * width * height) })));
        }
      });
    }
    gpu.close();
  });

test('shards: few, equal, of whole tiles; one where the matrix fits', () => {
  assert.is(shardRows(4096, 25088, 2 ** 27), 1024); // fc6 of VGG-16 in four
  assert.is(shardRows(4096, 25088, 2 ** 30), 4096);
  assert.is(shardRows(100, 10, 4 * 10 * 40), 32);
});

test('a fully connected layer in shards has the values, the result and the file of one that is whole', async () => {
  const gpu = await sharedGpu();
  const { device } = gpu.plans;
  const x = gpu.tensor(randomArray(3 * 40, 1), [3, 40]);
  const make = async (maxBindingBytes: number) => {
    gpu.plans.planFor({ ...device, maxBindingBytes });
    const store = new ParameterStore(gpu, 5);
    const layers = store.fullyConnected('fc6', [100, 40]);
    gpu.plans.planFor(device);
    const y = await gpu.scope(async () => connect(x, layers).read());
    return { store, layers, y, wholes: wholeParameters(store.parameters) };
  };
  const whole = await make(2 ** 27);
  const sharded = await make(4 * 40 * 40);
  assert.is(whole.layers.length, 1);
  assert.is(sharded.layers.length, 4);
  const rows = ['0:32', '32:64', '64:96', '96:100'];
  assert.equal(Object.keys(sharded.store.parameters), [
    ...rows.map((range) => `fc6.weight[${range}]`),
    ...rows.map((range) => `fc6.bias[${range}]`),
  ]);
  assert.equal(sharded.y, whole.y);
  for (const name of ['fc6.weight', 'fc6.bias']) {
    assert.equal(sharded.wholes[name]!.shape, whole.wholes[name]!.shape);
    assert.equal(await readWhole(sharded.wholes[name]!), await readWhole(whole.wholes[name]!));
  }
  const other = randomArray(100 * 40, 7);
  writeWhole(sharded.wholes['fc6.weight']!, other);
  assert.equal(await readWhole(sharded.wholes['fc6.weight']!), other);
  assert.equal(await sharded.layers[3]!.weight.read(), other.subarray(96 * 40));
  for (const { store } of [whole, sharded]) Object.values(store.parameters).forEach((tensor) => tensor.dispose());
  x.dispose();
});

test.run();
