/**
 * Checks of the transforms of Winograd's convolution, one kernel at a time.
 *
 * A transform adds at most (m + 2)^2 products of standard normal numbers with coefficients up to 8 x 8 (m = 4); its
 * intermediate sums reach about a hundred, which float32 rounds by 2^-23 of that a few times over.
 */
import {
  alignsTiles,
  type PointLayout,
  pointsOf,
  type TileUniforms,
  winogradFilter,
  winogradFilterGradient,
  winogradFilterGradientReference,
  winogradFilterReference,
  winogradGather,
  winogradGatherReference,
  winogradScatter,
  winogradScatterReference,
  type WinogradSize,
  type WinogradStore,
} from '../winograd.ts';
import type { KernelCheck } from './check.ts';
import { normals } from './inputs.ts';

const tolerance = (m: WinogradSize) => ({ atol: m === 4 ? 4e-4 : 2e-5, rtol: 1e-5 });

/** Tiles `first`... of a batch of maps; `count` may reach beyond the last. */
export function tileUniforms(
  m: WinogradSize,
  [images, channels, h, w]: readonly [number, number, number, number],
  pad: number,
  [first, count]: readonly [number, number],
): TileUniforms {
  // The outputs of a 3x3 filter, or the map itself if there is no border.
  const [tilesY, tilesX] = [h, w].map((n) => Math.ceil((pad === 0 ? n : n + 2 * pad - 2) / m)) as [number, number];
  return { channels, h, w, pad, tilesY, tilesX, total: images * tilesY * tilesX, first, count };
}

const describe = ({ channels, h, w, pad, total, first, count }: TileUniforms) =>
  `${channels}x${h}x${w} p${pad}, tiles ${first}+${count} of ${total}`;

export function gatherCheck(
  m: WinogradSize,
  what: 'input' | 'output',
  layout: PointLayout,
  images: number,
  tiles: TileUniforms,
): KernelCheck {
  const x = normals(images * tiles.channels * tiles.h * tiles.w, 1);
  const aligned = alignsTiles(m, what, tiles);
  return {
    name: `winograd${m}_gather_${what}${aligned ? ' aligned' : ''} ${layout} ${describe(tiles)}`,
    kernel: winogradGather(m, what, layout, aligned),
    buffers: { x, ...(aligned && { rows: x }), v: normals(pointsOf(m) * tiles.channels * tiles.count, 2) },
    uniforms: { ...tiles },
    expected: { v: winogradGatherReference(x, m, what, layout, tiles) },
    ...tolerance(m),
  };
}

export function scatterCheck(
  m: WinogradSize,
  images: number,
  tiles: TileUniforms,
  withBias: boolean,
  store: WinogradStore,
): KernelCheck {
  const v = normals(pointsOf(m) * tiles.channels * tiles.count, 1);
  const bias = withBias ? normals(tiles.channels, 2) : null;
  const y = normals(images * tiles.channels * tiles.h * tiles.w, 3);
  const expected = Float64Array.from(y);
  winogradScatterReference(v, bias, store, expected, m, tiles);
  const aligned = alignsTiles(m, 'output', tiles);
  return {
    name: `winograd${m}_scatter${aligned ? ' aligned' : ''}${bias ? ' bias' : ''} ${store} ${describe(tiles)}`,
    kernel: winogradScatter(m, withBias, store, aligned),
    buffers: { v, ...(bias && { bias }), y },
    uniforms: { ...tiles },
    expected: { y: expected },
    ...tolerance(m),
  };
}

export function filterCheck(m: WinogradSize, turned: boolean, [K, C]: readonly [number, number]): KernelCheck {
  const w = normals(K * C * 9, 1);
  return {
    name: `winograd${m}_filter${turned ? '_turned' : ''} ${K}x${C}`,
    kernel: winogradFilter(m, turned),
    buffers: { w, v: normals(pointsOf(m) * K * C, 2) },
    uniforms: { K, C },
    expected: { v: winogradFilterReference(w, m, turned, [K, C]) },
    ...tolerance(m),
  };
}

export function filterGradientCheck(m: WinogradSize, [K, C]: readonly [number, number], add: boolean): KernelCheck {
  const v = normals(pointsOf(m) * K * C, 1);
  const dw = normals(K * C * 9, 2);
  return {
    name: `winograd${m}_filter_gradient ${K}x${C}${add ? ', added' : ''}`,
    kernel: winogradFilterGradient(m, add),
    buffers: { v, dw },
    uniforms: { K, C },
    expected: { dw: winogradFilterGradientReference(v, add ? dw : new Float64Array(dw.length), m, [K, C]) },
    ...tolerance(m),
  };
}

/** Two maps of 3 channels, tiles from within the first to beyond the second's last; of width 16 they are aligned for m = 4. */
export const winogradMapChecks: readonly (() => KernelCheck)[] = (
  [
    [2, 14],
    [4, 14],
    [4, 16],
  ] as const
).flatMap(([m, width]) => {
  const maps = [2, 3, 9, width] as const;
  const { total } = tileUniforms(m, maps, 1, [0, 0]);
  const band = [3, Math.ceil(total / 4) * 4] as const;
  return [
    () => gatherCheck(m, 'input', 'channels-tiles', 2, tileUniforms(m, maps, 1, band)),
    () => gatherCheck(m, 'input', 'tiles-channels', 2, tileUniforms(m, maps, 1, band)),
    () => gatherCheck(m, 'output', 'tiles-channels', 2, tileUniforms(m, maps, 0, band)),
    () => scatterCheck(m, 2, tileUniforms(m, maps, 0, band), true, 'relu'),
    () => scatterCheck(m, 2, tileUniforms(m, maps, 0, band), false, 'assign'),
    () => scatterCheck(m, 2, tileUniforms(m, maps, 0, band), false, 'add'),
    () => filterCheck(m, false, [5, 67]),
    () => filterCheck(m, true, [67, 5]),
  ];
});

export const winogradChecks: readonly (() => KernelCheck)[] = [
  ...winogradMapChecks,
  ...([2, 4] as const).flatMap((m) => [
    () => filterGradientCheck(m, [7, 11], false),
    () => filterGradientCheck(m, [7, 11], true),
  ]),
];
