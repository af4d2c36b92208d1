/**
 * The subgroup variant for subgroups of 16, 32 and 64 lanes, which no software adapter has, and for subgroups of fewer lanes
 * than the device tells, as one whose subgroups differ in size may have: a broadcast through workgroup memory stands for that
 * of a subgroup. What is tested is which lane holds what.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  convFilterGradientCheck,
  convForwardCheck,
  convInputGradientCheck,
  convShape,
  matmulCheck,
} from '../../src/kernels/checks/matmul.ts';
import type { KernelCheck } from '../../src/kernels/checks/check.ts';
import type { Tile } from '../../src/kernels/matmulCore.ts';
import { directTiles, matmulTiles } from '../../src/kernels/planner.ts';
import { runCheck } from './runCheck.ts';
import { device, VECTOR_SHAPE } from './tiles.ts';

/** A check of a kernel made for `lanes` lanes, where subgroups have `size`. */
function emulated({ name, kernel, ...check }: KernelCheck, lanes: number, size: number): KernelCheck {
  const broadcast = /* wgsl */ `
var<private> own_lane: u32;
var<workgroup> cells: array<f32, ${lanes}>;
fn broadcast(value: f32, from_lane: u32) -> f32 {
  cells[own_lane] = value;
  workgroupBarrier();
  let result = cells[own_lane / ${size}u * ${size}u + from_lane];
  workgroupBarrier();
  return result;
}
`;
  const code = kernel.code
    .replace('enable subgroups;', '')
    .replaceAll('subgroupBroadcast(', 'broadcast(')
    .replace('@builtin(subgroup_invocation_id) holder: u32,', '')
    .replace('let tile_n =', `own_lane = lane;\n  let holder = lane % ${size}u;\n  let tile_n =`);
  assert.not.match(code, 'subgroup');
  return {
    ...check,
    name: `${name}, ${lanes} lanes emulated in subgroups of ${size}`,
    kernel: { ...kernel, code: code + broadcast },
  };
}

const SHAPE = convShape([2, 5, 9, 11], [19, 3, 3], 2, 1);
const subgroups = <T extends { variant: string }>(tiles: readonly T[]) =>
  tiles.filter(({ variant }) => variant === 'subgroup');

for (const [lanes, size] of [
  [16, 16],
  [32, 32],
  [64, 64],
  [32, 16],
  [64, 32],
  [64, 16],
] as const)
  test(`${lanes} lanes in subgroups of ${size}`, async () => {
    const own = device(lanes, false);
    const shapes = [VECTOR_SHAPE, { ...VECTOR_SHAPE, am: 1, ak: 64 }, { ...VECTOR_SHAPE, N: 63, bk: 63, cm: 63 }];
    const products = subgroups(shapes.flatMap((shape) => matmulTiles(own, shape)));
    const direct = subgroups(directTiles(own, 19, 200)) as Tile[];
    assert.ok(products.length >= 3 && direct.length >= 1);
    const checks = [
      ...[...new Set(products)].map((tile) => matmulCheck(tile, 'assign', [19, 67, 23], { a: true, batch: 2 })),
      ...[...new Set(direct)].flatMap((tile) => [
        convForwardCheck(tile, SHAPE, true, true),
        convInputGradientCheck(tile, SHAPE),
        convFilterGradientCheck(tile, SHAPE),
      ]),
    ];
    for (const check of checks) await runCheck(emulated(check, lanes, size));
  });

test.run();
