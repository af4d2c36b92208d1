/** Published detectors as files: which are recognised, what is said of others, and a whole evaluation on a data set of COCO's form. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { wholeParameters } from '../../src/engine/shards.ts';
import { detectImage, saveSafetensors } from '../../src/node.ts';
import { resnet18Fpn, resnet50Fpn } from '../../src/model/backbones/resnetPyramids.ts';
import { classesOf } from '../../src/model/cocoClasses.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import { PyramidRcnn } from '../../src/model/pyramidRcnn.ts';
import { problemOf } from '../../src/run/config/configSchema.ts';
import { detectron2Detector, PRESETS, pyramidDetector } from '../../src/run/config/presets.ts';
import { publishedDetector } from '../../src/run/storage/publishedDetector.ts';
import { fitWeights } from '../../src/run/storage/weightNames.ts';
import { rcnn } from '../cli/command.ts';
import { message, sharedGpu } from '../harness.ts';
import { picture } from '../model/seeded.ts';
import { torchvisionName } from '../model/torchvisionNames.ts';

test('a file of another architecture, or of no detector, names those that are known', async () => {
  const scores = { 'roi_heads.box_predictor.cls_score.weight': [91, 1024] };
  const other = await message(() => publishedDetector(scores, 'swin.pth'));
  assert.match(other, /^swin\.pth: holds a detector of another architecture; detectors that need no run directory are/);
  assert.match(other, /torchvision's fasterrcnn_resnet18_fpn, .* or detectron2's resnet50_fpn, .*resnet50_c4/);
  const none = await message(() => publishedDetector({ 'fc.weight': [1000, 2048] }, 'resnet50.pth'));
  assert.match(none, /^resnet50\.pth: holds no whole detector; .* other weights can start a training \(--init\)$/);
});

test('last layers of 91 classes stay out of a network of three, and the reason says both shapes', () => {
  const [mine, theirs] = [4, 91].map((classes) => ({
    'head.cls_score.weight': { shape: [classes, 8] },
    'head.bbox_pred.weight': { shape: [4 * classes, 8] },
    'fc7.weight': { shape: [8, 8] },
  }));
  const tensors = Object.fromEntries(
    Object.entries(theirs!).map(([own, { shape }]) => [
      torchvisionName(own, 'resnet50_fpn'),
      { shape, data: new Float32Array(shape[0]! * 8) },
    ]),
  );
  const network = { parameters: mine!, publishedNames: {}, classes: ['__background__', 'a', 'b', 'c'] };
  const { taken, misfits } = fitWeights({ tensors, metadata: {} }, { ...network, targetStds: [1, 1, 1, 1] });
  assert.equal([...taken.keys()], ['fc7.weight']);
  assert.equal(
    misfits.map(({ from, why }) => `${from} ${why}`),
    [
      'roi_heads.box_predictor.cls_score.weight is [91, 8], head.cls_score.weight in this network [4, 8]',
      'roi_heads.box_predictor.bbox_pred.weight is [364, 8], head.bbox_pred.weight in this network [16, 8]',
    ],
  );
});

test('pictures smaller than the stride of a pyramid are detected in, by either convention', async () => {
  const gpu = await sharedGpu();
  for (const convention of ['torchvision', 'detectron2'] as const) {
    const detector = { ...pyramidDetector(resnet18Fpn), convention, classes: ['__background__', 'a'] };
    const model = new PyramidRcnn(gpu, { ...detector, input: { ...detector.input, shorterSide: 3, longerSide: 9 } }, 1);
    for (const [height, width] of [
      [1, 1],
      [3, 2],
      [2, 40],
    ] as const) {
      for (const { x1, y1, x2, y2, score } of await detectImage(model, picture('tiny', height, width))) {
        assert.ok([x1, y1, x2, y2, score].every(Number.isFinite));
        assert.ok(
          x1 >= 0 && y1 >= 0 && x2 <= width - 1 + 1e-3 && y2 <= height - 1 + 1e-3,
          `${convention}: ${[x1, y1, x2, y2]}`,
        );
      }
    }
    model.dispose();
  }
});

test("the stride of the original network is a setting of those that can have it, and detectron2's detectors have it", () => {
  assert.is(detectron2Detector(resnet50Fpn).originalStride, true);
  assert.is(detectron2Detector(resnet18Fpn).originalStride, undefined);
  const { detector, training } = PRESETS['resnet50-fpn']!;
  const check = (backbone: string): string | null =>
    problemOf({
      detector: { ...detector, backbone, originalStride: true, classes: ['__background__', 'a'] },
      training,
    });
  assert.is(check('resnet50'), null);
  assert.is(check('resnet101_c4'), null);
  for (const backbone of ['resnet18', 'vgg16'])
    assert.match(
      check(backbone)!,
      new RegExp(`^detector\\.originalStride: is not possible with ${backbone}, whose blocks`),
    );
});

test('rcnn eval and rcnn export on a file of weights: classes are matched by name', async () => {
  const gpu = await sharedGpu();
  const folder = mkdtempSync(join(tmpdir(), 'published-'));
  try {
    const config = { ...pyramidDetector(resnet18Fpn), classes: classesOf(91, 'file') };
    const model = makeDetector(gpu, config, 1);
    const tensors: Record<string, { shape: number[]; data: Float32Array }> = {};
    for (const [own, { shape, parts }] of Object.entries(wholeParameters(model.parameters)))
      tensors[torchvisionName(own, 'resnet18_fpn')] = {
        shape: [...shape],
        data: (await parts[0]!.read()) as Float32Array,
      };
    model.dispose();
    const file = join(folder, 'fasterrcnn_resnet18_fpn.safetensors');
    await saveSafetensors(file, tensors);
    // A grey picture 120 x 12 as BMP: the header of a picture of three bytes a pixel, and its rows.
    const bmp = Buffer.alloc(54 + 120 * 3 * 12, 128);
    bmp.set([0x42, 0x4d], 0);
    [bmp.length, 0, 54, 40, 120, 12].forEach((value, i) => bmp.writeUInt32LE(value, 2 + 4 * i));
    bmp.writeUInt32LE(1 + (24 << 16), 26);
    bmp.fill(0, 30, 54);
    writeFileSync(join(folder, 'a.bmp'), bmp);
    const data = {
      images: [{ id: 1, file_name: 'a.bmp', width: 120, height: 12 }],
      categories: [{ id: 1, name: 'dog' }, { id: 2, name: 'person' }], // prettier-ignore
      annotations: [{ id: 1, image_id: 1, category_id: 2, bbox: [10, 2, 30, 8], area: 240, iscrowd: 0 }],
    };
    writeFileSync(join(folder, 'ann.json'), JSON.stringify(data));
    const { code, stdout, stderr } = await rcnn(
      folder,
      ...['eval', '--model', file, '--data', `coco:${folder},${join(folder, 'ann.json')}`],
      ...['--detections', join(folder, 'found.json'), '--report', join(folder, 'report')],
    );
    assert.is(code, 0, stderr);
    assert.match(stdout, /person/);
    const exported = await rcnn(folder, 'export', '--model', file, '--out', 'coco.onnx');
    assert.is(exported.code, 0, exported.stderr);
    assert.match(exported.stdout, /labels  int64 \[objects\]: 1 person, 2 bicycle, 3 car, \.\.\., 90 toothbrush/);
    const named = await rcnn(folder, 'export', '--model', file, '--classes', 'cat', '--out', 'cat.onnx');
    assert.is(named.code, 1);
    assert.not(existsSync(join(folder, 'cat.onnx')));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
