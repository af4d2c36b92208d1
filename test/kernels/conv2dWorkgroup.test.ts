import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  convWorkgroupChecks,
  packFiltersCheck,
  workgroupFilterGradientCheck,
  workgroupForwardCheck,
  workgroupInputGradientCheck,
} from '../../src/kernels/checks/conv2dWorkgroup.ts';
import {
  convFilterGradientCheck,
  convForwardCheck,
  convInputGradientCheck,
  convShape,
} from '../../src/kernels/checks/matmul.ts';
import type { KernelCheck } from '../../src/kernels/checks/check.ts';
import { launch, sharedGpu } from '../harness.ts';
import { testChecks } from './runCheck.ts';
import { device, REGISTER_TILES, WORKGROUP_TILE } from './tiles.ts';

// Both software adapters have the workgroup memory of every tile.
testChecks(convWorkgroupChecks(device(0)).map((build) => build()));

testChecks([
  packFiltersCheck(false, 1, 1, 4),
  packFiltersCheck(false, 33, 17, 25),
  packFiltersCheck(true, 1, 1, 4),
  packFiltersCheck(true, 3, 130, 6),
]);

// Of one pixel; of one channel; of fewer channels than a stage has steps, so that taps change within it; filters that see padding
// alone; pixels that no filter reads; a line of one position; rows and columns of a filter that differ.
const SHAPES = [
  convShape([1, 1, 1, 1], [1, 1, 1], 1, 0),
  convShape([2, 1, 7, 9], [17, 3, 3], 1, 1),
  convShape([1, 3, 13, 8], [9, 5, 5], 2, 2),
  convShape([2, 2, 11, 17], [5, 7, 7], 2, 3),
  convShape([1, 3, 13, 11], [4, 2, 3], 3, 2),
  convShape([1, 2, 8, 7], [3, 3, 3], 3, 3),
  convShape([1, 2, 7, 7], [3, 1, 1], 2, 0),
  convShape([3, 4, 9, 3], [8, 3, 3], 1, 0),
  convShape([1, 33, 6, 5], [68, 3, 3], 1, 1),
  convShape([5, 3, 2, 2], [4, 3, 3], 1, 1), // maps smaller than a stage: it moves over several images
];

testChecks(
  SHAPES.flatMap((shape): KernelCheck[] => [
    workgroupForwardCheck(WORKGROUP_TILE, shape, true, true),
    workgroupInputGradientCheck(WORKGROUP_TILE, shape, false),
    workgroupFilterGradientCheck(WORKGROUP_TILE, shape, 1),
    workgroupFilterGradientCheck(WORKGROUP_TILE, shape, 3),
  ]),
);

test('tiles in workgroup memory give the bits of those in registers: they add in the same order', async () => {
  const gpu = await sharedGpu();
  const shape = convShape([2, 20, 9, 11], [24, 3, 3], 1, 1);
  const [tile] = REGISTER_TILES;
  for (const [registers, workgroup] of [
    [convForwardCheck(tile!, shape, true, true), workgroupForwardCheck(WORKGROUP_TILE, shape, true, true)],
    [convInputGradientCheck(tile!, shape), workgroupInputGradientCheck(WORKGROUP_TILE, shape, false)],
    [convFilterGradientCheck(tile!, shape), workgroupFilterGradientCheck(WORKGROUP_TILE, shape, 1)],
  ] as const) {
    const run = ({ kernel, buffers, uniforms }: KernelCheck) => launch(gpu, kernel, buffers, uniforms);
    assert.equal(await run(workgroup), await run(registers), workgroup.name);
  }
});

test('ReLU in the same kernel keeps NaN', async () => {
  const { kernel, buffers, uniforms } = workgroupForwardCheck(WORKGROUP_TILE, SHAPES[8]!, true, true);
  buffers['x']![0] = NaN;
  const { y } = await launch(await sharedGpu(), kernel, buffers, uniforms);
  assert.ok(Number.isNaN(y![0]!));
});

test.run();
