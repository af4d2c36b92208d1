/** Launches convolutions as the device's plans say; tensors in, tensors out, no tape. */
import { convFilterGradient, convForward, convInputGradient, type ConvShape } from '../kernels/conv2d.ts';
import {
  convAccess,
  convFilterGradientWorkgroup,
  convForwardWorkgroup,
  convInputGradientWorkgroup,
  convUniforms,
  packFilters,
  packsFilters,
  packTurnedFilters,
  storesFilterVectors,
} from '../kernels/conv2dWorkgroup.ts';
import { matmulShape } from '../kernels/matmul.ts';
import type { Tile } from '../kernels/matmulCore.ts';
import { patches } from '../kernels/patches.ts';
import { type ConvPlan, filterSplits, keepsPoints, patchesBand, winogradBand } from '../kernels/planner.ts';
import { subsample, subsampleBackward } from '../kernels/subsample.ts';
import { sumPartials } from '../kernels/sumPartials.ts';
import {
  alignsTiles,
  type PointLayout,
  pointsOf,
  winogradFilter,
  winogradFilterGradient,
  winogradGather,
  winogradScatter,
  type TileUniforms,
  type WinogradSize,
  type WinogradStore,
} from '../kernels/winograd.ts';
import type { WorkgroupTile } from '../kernels/workgroupCore.ts';
import { filterParts } from '../kernels/workgroupPlans.ts';
import type { Gpu } from './gpu.ts';
import { constantFactor, runMatmul } from './matmul.ts';
import type { Bindable } from './memory.ts';
import { floatOf } from './precision.ts';
import type { Tensor } from './tensor.ts';

/**
 * y = x * w (+ bias), then ReLU where asked.
 * @param trained its filter gradient will be asked for
 * @returns what `runConvFilterGradient` would otherwise compute from x again, where there is such a thing and it is small
 *   enough to keep
 */
export function runConvForward(
  gpu: Gpu,
  { x, w, bias, y }: { x: Tensor; w: Tensor; bias: Tensor | null; y: Tensor },
  shape: ConvShape,
  relu: boolean,
  trained: boolean,
): Tensor | null {
  const plan = gpu.plans.conv('forward', shape);
  const { B, C, K, H, W, OH, OW, stride, pad } = shape;
  if (plan.algorithm === 'winograd') {
    const maps = { images: B, inputs: C, h: H, w: W, outputs: K, oh: OH, ow: OW, pad };
    const filter = trained ? gpu.plans.conv('filter', shape) : null;
    const keep = filter?.algorithm === 'winograd' && filter.size === plan.size;
    return winogradConvolve(gpu, plan.size, { x, w, bias, y }, maps, false, relu ? 'relu' : 'assign', keep);
  }
  if (plan.algorithm === 'pointwise') {
    const cells = OH * OW;
    const strides = { am: C, ak: 1, az: 0, bk: cells, bn: 1, bz: C * cells, cm: cells, cn: 1, cz: K * cells, c0: 0 };
    const product = { M: K, N: cells, K: C, ...strides, batch: B };
    const epilogue = bias ? 'rowBias' : 'assign';
    const constant = constantFactor(gpu, w);
    if (stride === 1) {
      runMatmul(gpu, { a: w, b: x, bias, c: y, constant }, product, epilogue, relu);
    } else {
      const read = gpu.empty([B, C, OH, OW], floatOf(x), 'cells of a stride');
      gpu.run(subsample, { x, y: read }, subsampleUniforms(shape));
      runMatmul(gpu, { a: w, b: read, bias, c: y, constant }, product, epilogue, relu);
      read.dispose();
    }
  } else if (plan.algorithm === 'patches') {
    convolvePatches(gpu, { x, w, bias, y }, shape, relu);
  } else if (plan.tile.variant === 'workgroup') {
    const { tile } = plan;
    const kernel = convForwardWorkgroup(tile, convAccess('forward', shape).fetchA, bias !== null, relu);
    withPacked(gpu, 'forward', w, shape, (filters) =>
      gpu.run(kernel, { x, w: filters, ...(bias && { bias }), y }, convUniforms('forward', tile, shape)),
    );
  } else {
    gpu.run(convForward(plan.tile, bias !== null, relu), bias ? { x, w, bias, y } : { x, w, y }, shape);
  }
  return null;
}

/** y as products of the filters and the patches of the image, a band of positions at a time. */
function convolvePatches(
  gpu: Gpu,
  { x, w, bias, y }: { x: Tensor; w: Tensor; bias: Tensor | null; y: Tensor },
  shape: ConvShape,
  relu: boolean,
): void {
  const { B, C, K, R, S, OH, OW } = shape;
  const terms = R * S * C;
  const cells = OH * OW;
  const count = patchesBand(terms, cells);
  withFilters(gpu, w, shape, (filters) => {
    for (let image = 0; image < B; image++) {
      for (let first = 0; first < cells; first += count) {
        const columns = gpu.empty([terms, count], floatOf(x), 'patches');
        gpu.run(patches, { x, columns }, { ...shape, image, first, count });
        const strides = { am: 1, ak: K, bk: count, bn: 1, cm: cells, cn: 1, c0: image * K * cells + first };
        const product = matmulShape({ M: K, N: Math.min(count, cells - first), K: terms, ...strides });
        runMatmul(gpu, { a: filters, b: columns, bias, c: y }, product, bias ? 'rowBias' : 'assign', relu);
        columns.dispose();
      }
    }
  });
}

/** Calls `fn` with the filters [R, S, C, K], made once if they are constant. */
function withFilters(gpu: Gpu, w: Tensor, { K, C, R, S }: ConvShape, fn: (filters: Tensor) => void): void {
  const make = (): Tensor => {
    const packed = gpu.empty([w.size], w.dtype, 'packed filters');
    gpu.run(packFilters, { w, packed }, { K, C, taps: R * S });
    return packed;
  };
  const constant = constantFactor(gpu, w);
  if (constant) return fn(constant.derive('packed filters', [], () => [make()])[0]!);
  const packed = make();
  fn(packed);
  packed.dispose();
}

/** dx = the gradient of the input; with `add`, added to what dx holds. */
export function runConvInputGradient(
  gpu: Gpu,
  { dy, w, dx }: { dy: Tensor; w: Tensor; dx: Tensor },
  shape: ConvShape,
  add: boolean,
): void {
  const plan = gpu.plans.conv('input', shape);
  const { B, C, K, H, W, OH, OW, stride, pad } = shape;
  if (plan.algorithm === 'winograd') {
    const maps = { images: B, inputs: K, h: OH, w: OW, outputs: C, oh: H, ow: W, pad: 2 - pad };
    winogradConvolve(gpu, plan.size, { x: dy, w, bias: null, y: dx }, maps, true, add ? 'add' : 'assign', false);
  } else if (plan.algorithm === 'pointwise') {
    const cells = OH * OW;
    const strides = { am: 1, ak: C, az: 0, bk: cells, bn: 1, bz: K * cells, cm: cells, cn: 1, cz: C * cells, c0: 0 };
    const product = { M: C, N: cells, K, ...strides, batch: B };
    if (stride === 1) {
      runMatmul(gpu, { a: w, b: dy, c: dx }, product, add ? 'accumulate' : 'assign');
    } else {
      const read = gpu.empty([B, C, OH, OW], floatOf(dx), 'gradient of the cells of a stride');
      runMatmul(gpu, { a: w, b: dy, c: read }, product, 'assign');
      gpu.run(subsampleBackward(add), { dy: read, dx }, subsampleUniforms(shape));
      read.dispose();
    }
  } else {
    const tile = directTile(plan);
    if (tile.variant === 'workgroup') {
      const kernel = convInputGradientWorkgroup(tile, convAccess('input', shape).fetchA, add);
      withPacked(gpu, 'input', w, shape, (filters) =>
        gpu.run(kernel, { dy, w: filters, dx }, convUniforms('input', tile, shape)),
      );
    } else {
      gpu.run(convInputGradient(tile, add), { dy, w, dx }, shape);
    }
  }
}

/** The tile of a gradient's direct sum; patches are copied in the forward pass alone. */
function directTile(plan: ConvPlan): Tile | WorkgroupTile {
  if (plan.algorithm !== 'direct') throw new Error(`a convolution's gradient has no plan ${plan.algorithm}`);
  return plan.tile;
}

const subsampleUniforms = ({ B, C, H, W, OH, OW, stride }: ConvShape) => ({
  planes: B * C,
  h: H,
  w: W,
  outH: OH,
  outW: OW,
  stride,
});

/** Calls `fn` with the filters in the layout that the tiles in workgroup memory read. */
function withPacked(
  gpu: Gpu,
  pass: 'forward' | 'input',
  w: Tensor,
  shape: ConvShape,
  fn: (filters: Tensor) => void,
): void {
  if (!packsFilters(pass, shape)) return fn(w);
  const packed = gpu.empty([w.size], w.dtype, 'packed filters');
  const { K, C, R, S } = shape;
  gpu.run(pass === 'forward' ? packFilters : packTurnedFilters, { w, packed }, { K, C, taps: R * S });
  fn(packed);
  packed.dispose();
}

/** dw = the gradient of the filters; with `add`, added to what dw holds. `points`: what `runConvForward` returned. */
export function runConvFilterGradient(
  gpu: Gpu,
  { x, dy, dw, points }: { x: Tensor; dy: Tensor; dw: Tensor; points: Tensor | null },
  shape: ConvShape,
  add: boolean,
): void {
  const plan = gpu.plans.conv('filter', shape);
  if (plan.algorithm === 'winograd') {
    winogradFilters(gpu, plan.size, { x, dy, dw, points }, shape, add);
    return;
  }
  if (plan.algorithm === 'pointwise') {
    const { C, K, H, W } = shape;
    const strides = { am: H * W, ak: 1, bk: 1, bn: H * W, cm: C, cn: 1 };
    runMatmul(
      gpu,
      { a: dy, b: x, c: dw },
      matmulShape({ M: K, N: C, K: H * W, ...strides }),
      add ? 'accumulate' : 'assign',
    );
    return;
  }
  const tile = directTile(plan);
  if (tile.variant === 'workgroup') {
    const together = storesFilterVectors(shape);
    const { splits } = filterParts(gpu.plans.device, tile, shape);
    const uniforms = convUniforms('filter', tile, shape, splits);
    filterGradientInParts(gpu, dw, splits, add, (out, adds) =>
      gpu.run(convFilterGradientWorkgroup(tile, together, adds), { x, dy, dw: out }, uniforms),
    );
    return;
  }
  const [columns, rows] = convFilterGradient(tile, add).grid({ ...shape, splits: 1 });
  const splits = filterSplits(gpu.plans.device, columns * rows, shape.B * shape.OH);
  filterGradientInParts(gpu, dw, splits, add, (out, adds) =>
    gpu.run(convFilterGradient(tile, adds), { x, dy, dw: out }, { ...shape, splits }),
  );
}

/** Runs a filter gradient as a whole, or as parts that are then summed. `launch` gets its output and whether to add to it. */
function filterGradientInParts(
  gpu: Gpu,
  dw: Tensor,
  splits: number,
  add: boolean,
  launch: (out: Tensor, adds: boolean) => void,
): void {
  if (splits === 1) return launch(dw, add);
  const partial = gpu.empty([splits, dw.size], 'f32', 'partial dw conv2d');
  launch(partial, false);
  const sum = sumPartials(add ? 'accumulate' : 'assign');
  gpu.run(sum, { partial, y: dw }, { n: dw.size, parts: splits, columns: dw.size });
  partial.dispose();
}

/** A convolution by its maps: the forward form, or the input gradient's with `turned` filters. */
interface Maps {
  images: number;
  inputs: number;
  h: number;
  w: number;
  outputs: number;
  oh: number;
  ow: number;
  pad: number;
}

function winogradConvolve(
  gpu: Gpu,
  m: WinogradSize,
  { x, w, bias, y }: { x: Tensor; w: Tensor; bias: Tensor | null; y: Tensor },
  { images, inputs, h, w: width, outputs, oh, ow, pad }: Maps,
  turned: boolean,
  store: WinogradStore,
  keep: boolean,
): Tensor | null {
  const points = pointsOf(m);
  let kept: Tensor | null = null;
  const filters = gpu.empty([points, inputs, outputs], 'f32', 'winograd filters');
  const [K, C] = turned ? [inputs, outputs] : [outputs, inputs];
  gpu.run(winogradFilter(m, turned), { w, v: filters }, { K, C });
  eachBand(m, Math.max(inputs, outputs), images, oh, ow, (tiles) => {
    const { count } = tiles;
    const from = gpu.empty([points, inputs, count], 'f32', 'winograd inputs');
    const to = gpu.empty([points, outputs, count], 'f32', 'winograd outputs');
    const gather = { ...tiles, channels: inputs, h, w: width, pad };
    runGather(gpu, m, 'input', 'channels-tiles', { x, v: from }, gather);
    const [az, bz, cz] = [inputs * outputs, inputs * count, outputs * count];
    const common = { K: inputs, am: 1, bn: 1, cz, c0: 0, batch: points };
    const straight = { ...common, M: outputs, N: count, ak: outputs, az, bk: count, bz, cm: count, cn: 1 };
    const transposed = { ...common, M: count, N: outputs, ak: count, az: bz, bk: outputs, bz: az, cm: 1, cn: count };
    const shape = gpu.plans.cheaper(straight, transposed);
    const [a, b] = shape === straight ? [filters, from] : [from, filters];
    runMatmul(gpu, { a, b, c: to }, shape, 'assign');
    const scatter = { ...tiles, channels: outputs, h: oh, w: ow, pad: 0 };
    const kernel = winogradScatter(m, bias !== null, store, alignsTiles(m, 'output', scatter));
    gpu.run(kernel, bias ? { v: to, bias, y } : { v: to, y }, scatter);
    if (keep && keepsPoints(from.size, tiles)) kept = from;
    else from.dispose();
    to.dispose();
  });
  filters.dispose();
  return kept;
}

function winogradFilters(
  gpu: Gpu,
  m: WinogradSize,
  { x, dy, dw, points: kept }: { x: Tensor; dy: Tensor; dw: Tensor; points: Tensor | null },
  { B, C, H, W, K, OH, OW, pad }: ConvShape,
  add: boolean,
): void {
  const points = pointsOf(m);
  const sums = gpu.empty([points, C, K], 'f32', 'winograd filters');
  eachBand(m, Math.max(C, K), B, OH, OW, (tiles) => {
    const { count, first } = tiles;
    const patches = kept ?? gpu.empty([points, count, C], 'f32', 'winograd inputs');
    const input = { ...tiles, channels: C, h: H, w: W, pad };
    if (!kept) runGather(gpu, m, 'input', 'tiles-channels', { x, v: patches }, input);
    const outputs = gpu.empty([points, count, K], 'f32', 'winograd outputs');
    const output = { ...tiles, channels: K, h: OH, w: OW, pad: 0 };
    runGather(gpu, m, 'output', 'tiles-channels', { x: dy, v: outputs }, output);
    // What was kept is laid out as the forward pass needs it.
    const left = { ...(kept ? { am: count, ak: 1 } : { am: 1, ak: C }), az: C * count };
    const right = { bk: K, bn: 1, bz: count * K };
    const product = matmulShape({ M: C, N: K, K: count, ...left, ...right, cm: K, cn: 1, cz: C * K, batch: points });
    runMatmul(gpu, { a: patches, b: outputs, c: sums }, product, first === 0 ? 'assign' : 'accumulate');
    if (!kept) patches.dispose();
    outputs.dispose();
  });
  gpu.run(winogradFilterGradient(m, add), { v: sums, dw }, { K, C });
  sums.dispose();
}

function runGather(
  gpu: Gpu,
  m: WinogradSize,
  what: 'input' | 'output',
  layout: PointLayout,
  { x, v }: { x: Tensor; v: Bindable },
  tiles: TileUniforms,
): void {
  const aligned = alignsTiles(m, what, tiles);
  gpu.run(winogradGather(m, what, layout, aligned), aligned ? { x, rows: x, v } : { x, v }, tiles);
}

/** Calls `fn` for bands of the m x m tiles of `images` maps of oh x ow outputs. */
function eachBand(
  m: WinogradSize,
  channels: number,
  images: number,
  oh: number,
  ow: number,
  fn: (tiles: Pick<TileUniforms, 'tilesX' | 'tilesY' | 'total' | 'first' | 'count'>) => void,
): void {
  const tilesY = Math.ceil(oh / m);
  const tilesX = Math.ceil(ow / m);
  const total = images * tilesY * tilesX;
  const count = winogradBand(m, channels, total);
  for (let first = 0; first < total; first += count) fn({ tilesX, tilesY, total, first, count });
}
