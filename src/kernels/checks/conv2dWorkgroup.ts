/** Checks of convolution on the tiles in workgroup memory; tolerances as in matmul.ts. */
import { convForwardReference, convGradientsReference, type ConvShape } from '../conv2d.ts';
import {
  convAccess,
  convFilterGradientWorkgroup,
  convForwardWorkgroup,
  convInputGradientWorkgroup,
  convUniforms,
  packFilters,
  packFiltersReference,
  packTurnedFilters,
  storesFilterVectors,
} from '../conv2dWorkgroup.ts';
import type { Capabilities } from '../machine.ts';
import { allowsTile, WORKGROUP_TILES } from '../workgroupPlans.ts';
import { type WorkgroupTile, workgroupTileName } from '../workgroupCore.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals } from './inputs.ts';
import { convName, convShape, filterGradientParts, linesOfPart, summed, wSize, xSize, ySize } from './matmul.ts';

const packed = (w: Float32Array, pass: 'forward' | 'input', { K, C, R, S }: ConvShape): Float32Array =>
  R * S === 1 ? w : Float32Array.from(packFiltersReference(doubles(w), pass === 'input', { K, C, taps: R * S }));

export function workgroupForwardCheck(
  tile: WorkgroupTile,
  shape: ConvShape,
  withBias: boolean,
  relu: boolean,
): KernelCheck {
  const x = normals(xSize(shape), 1);
  const w = normals(wSize(shape), 2);
  const bias = withBias ? normals(shape.K, 3) : null;
  return {
    name: `conv2d_forward ${workgroupTileName(tile)}, ${convName(shape)}${bias ? ' bias' : ''}${relu ? ' relu' : ''}`,
    kernel: convForwardWorkgroup(tile, convAccess('forward', shape).fetchA, withBias, relu),
    buffers: { x, w: packed(w, 'forward', shape), ...(bias && { bias }), y: normals(ySize(shape), 4) },
    uniforms: { ...convUniforms('forward', tile, shape) },
    expected: { y: convForwardReference(x, w, bias, shape, relu) },
    ...summed(shape.C * shape.R * shape.S),
  };
}

export function workgroupInputGradientCheck(tile: WorkgroupTile, shape: ConvShape, add: boolean): KernelCheck {
  const w = normals(wSize(shape), 1);
  const dy = normals(ySize(shape), 2);
  const before = normals(xSize(shape), 3);
  const { dx } = convGradientsReference(new Float32Array(xSize(shape)), w, dy, shape);
  return {
    name: `conv2d_input_gradient ${workgroupTileName(tile)}, ${convName(shape)}${add ? ', added' : ''}`,
    kernel: convInputGradientWorkgroup(tile, convAccess('input', shape).fetchA, add),
    buffers: { dy, w: packed(w, 'input', shape), dx: before },
    uniforms: { ...convUniforms('input', tile, shape) },
    expected: { dx: add ? dx.map((value, i) => value + before[i]!) : dx },
    ...summed(shape.K * shape.R * shape.S),
  };
}

/** The whole gradient, added to the contents of the buffer, or `splits` parts, each assigned. `sumPartials` has its own checks. */
export function workgroupFilterGradientCheck(tile: WorkgroupTile, shape: ConvShape, splits: number): KernelCheck {
  const x = normals(xSize(shape), 1);
  const dy = normals(ySize(shape), 2);
  const before = normals(wSize(shape), 3);
  const parts = filterGradientParts(x, dy, shape, splits);
  const whole = splits === 1;
  return {
    name: `conv2d_filter_gradient ${workgroupTileName(tile)}, ${convName(shape)}${whole ? ', added' : ` in ${splits}`}`,
    kernel: convFilterGradientWorkgroup(tile, storesFilterVectors(shape), whole),
    buffers: { x, dy, dw: whole ? before : normals(splits * wSize(shape), 3) },
    uniforms: { ...convUniforms('filter', tile, shape, splits) },
    expected: {
      dw: whole
        ? parts[0]!.map((value, i) => value + before[i]!)
        : Float64Array.from(parts.flatMap((part) => [...part])),
    },
    ...summed(linesOfPart(shape, splits) * shape.OW),
  };
}

export function packFiltersCheck(turned: boolean, K: number, C: number, taps: number): KernelCheck {
  const w = normals(K * C * taps, 1);
  const kernel = turned ? packTurnedFilters : packFilters;
  return {
    name: `${kernel.name} ${K}x${C}x${taps}`,
    kernel,
    buffers: { w, packed: normals(w.length, 2) },
    uniforms: { K, C, taps },
    expected: { packed: packFiltersReference(doubles(w), turned, { K, C, taps }) },
    ...EXACT,
  };
}

/** Filters and channels that are not a multiple of a tile, with stride 2; and a multiple of four, read as vectors. */
const ODD = convShape([2, 5, 13, 17], [19, 3, 3], 2, 1);
const EVEN = convShape([1, 12, 9, 11], [20, 3, 3], 1, 1);
const SINGLE = convShape([2, 7, 9, 8], [21, 1, 1], 2, 0);

/**
 * Every tile with every pass. On a software adapter, which takes seconds to compile each, tiles take the passes in turn, since
 * cursors do not depend on the tile. Also every way to read and to write, with the first tile or the last.
 */
export function convWorkgroupChecks(device: Capabilities): readonly (() => KernelCheck)[] {
  const tiles = WORKGROUP_TILES.filter((tile) => allowsTile(device, tile, { fetchA: 'k', fetchB: 'k' }));
  const [first, last] = [tiles[0]!, tiles[tiles.length - 1]!];
  const passes = [
    (tile: WorkgroupTile) => workgroupForwardCheck(tile, EVEN, true, true),
    (tile: WorkgroupTile) => workgroupInputGradientCheck(tile, ODD, false),
    (tile: WorkgroupTile) => workgroupFilterGradientCheck(tile, ODD, 4),
  ];
  return [
    () => packFiltersCheck(false, 19, 5, 9),
    () => packFiltersCheck(true, 19, 67, 9),
    ...tiles.flatMap((tile, i) =>
      passes.filter((_, pass) => !device.software || pass === i % passes.length).map((check) => () => check(tile)),
    ),
    () => workgroupForwardCheck(last, ODD, false, false),
    () => workgroupForwardCheck(last, SINGLE, false, false),
    () => workgroupInputGradientCheck(last, EVEN, true),
    () => workgroupFilterGradientCheck(first, EVEN, 1),
  ];
}
