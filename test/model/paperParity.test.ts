/**
 * VGG-16 and ZF at 600x800 with all their parameters, against torchvision's VGG-16 and a ZF of PyTorch's operations in float64
 * (scripts/goldens/paper_networks.py, where the file's layout and the drawing of the parameters are described): the shared
 * map, the RPN's outputs, fc7 and the outputs of the head for four regions.
 *
 * An element may be off by 1e-4 of the samples' root mean square (lavapipe: 2e-5), a sum by 1e-5 of the sum of sizes (1e-6).
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Gpu } from '../../src/engine/gpu.ts';
import { zeros } from '../../src/engine/initializers.ts';
import { wholeParameters, writeWhole } from '../../src/engine/shards.ts';
import { roiPool, type Tensor } from '../../src/index.ts';
import { loadSafetensors } from '../../src/node.ts';
import { randomF32, randomU32 } from '../../src/kernels/rng.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { expectClose, sharedGpu } from '../harness.ts';

const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/pytorch-paper.safetensors', import.meta.url).pathname,
);
const settings = JSON.parse(metadata['settings']!);
const { seed, height, width, classes } = settings;

/** Uniform in [-limit, limit): the same bits as in Python. */
function draw(stream: number, size: number, limit: number): Float32Array {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) values[i] = limit * (2 * randomF32(seed, stream, i) - 1);
  return values;
}

/** Parameters made in `fn` are zero: they get their values afterwards, and drawing normal ones takes longer than the test. */
function withZeros<T>(gpu: Gpu, fn: () => T): T {
  const { parameter } = gpu;
  gpu.parameter = (_, shape, name) => parameter.call(gpu, zeros, shape, name);
  try {
    return fn();
  } finally {
    gpu.parameter = parameter;
  }
}

for (const backbone of ['vgg16', 'zf'] as const)
  test(`${backbone}: map, RPN and head of a 600x800 image are PyTorch's`, async () => {
    const gpu = await sharedGpu();
    const config = {
      ...PRESETS[`paper-${backbone}-voc07`]!.detector,
      classes: Array.from({ length: classes }, (_, i) => `${i}`),
    };
    const model = withZeros(gpu, () => new FasterRcnn(gpu, config, 0));
    const names: string[] = settings.parameters[backbone];
    const wholes = wholeParameters(model.parameters);
    assert.equal(Object.keys(wholes).sort(), [...names].sort());
    names.forEach((name, stream) => {
      const { shape } = wholes[name]!;
      const fanIn = shape.slice(1).reduce((product, n) => product * n, 1);
      const limit = shape.length === 1 ? settings.bias : Math.sqrt(6 / fanIn);
      writeWhole(wholes[name]!, draw(stream, fanIn * shape[0]!, limit));
    });
    await gpu.scope(async () => {
      const outputs = gpu.withoutGradients((): Record<string, Tensor> => {
        const image = gpu.tensor(draw(names.length, 3 * height * width, settings.image), [1, 3, height, width]);
        const rois = gpu.tensor(settings.rois.flat(), [settings.rois.length, 5]);
        const map = model.backbone.features(image);
        const pooled = roiPool(map, rois, { size: config.head.pooled, spatialScale: 1 / model.backbone.stride });
        const head = model.head.forward({ maps: [map], scales: [1] }, rois, null);
        return {
          map,
          ...model.rpn.forward(map),
          features: model.backbone.regions(pooled, null),
          scores: head.logits,
          boxes: head.deltas,
        };
      });
      let at = 0;
      for (const [what, tensor] of Object.entries(outputs)) {
        const values = Array.from(await tensor.read());
        const picks = Array.from({ length: settings.samples }, (_, k) => randomU32(seed, settings.sampleStream, k));
        const samples = picks.map((pick) => values[pick % values.length]!);
        const expected = tensors[`${backbone}/${what}`]!.data;
        const size = Math.hypot(...expected) / Math.sqrt(expected.length);
        expectClose(samples, expected, { atol: 1e-4 * size, rtol: 0, what: `${backbone} ${what}` });
        const sums = [values.map(Math.abs), values].map((terms) => terms.reduce((sum, term) => sum + term, 0));
        const expectedSums = tensors[`${backbone}/sums`]!.data.subarray(at, (at += 2));
        expectClose(sums, expectedSums, {
          atol: 1e-5 * expectedSums[0]!,
          rtol: 0,
          what: `${backbone} sums of ${what}`,
        });
      }
    });
    for (const tensor of [...Object.values(model.parameters), model.rpn.anchors]) tensor.dispose();
    gpu.trim();
  });

test.run();
