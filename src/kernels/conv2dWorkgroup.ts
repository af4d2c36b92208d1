/**
 * Convolution on the tiles in workgroup memory (workgroupCore.ts): the products of conv2d.ts, added in the same order.
 *
 *   forward           y[k, (b, oy, ox)]    sum over taps (r, s), then channels
 *   input gradient    dx[c, (b, iy, ix)]   sum over taps (r, s), then filters
 *   filter gradient   dw[k, (c, r, s)]     sum over positions (b, oy, ox), in `splits` parts of whole lines (b, oy)
 *
 * The filters are packed first so that the rows of one step are adjacent (`packFilters`, `packTurnedFilters`). Those of a 1x1
 * convolution already are for the input gradient; the forward pass reads them along channels. A cursor of an im2col matrix
 * remembers where its four columns lie in the map and looks them up again only when its tap changes. How far a stage moves each
 * index is computed on the CPU (`convUniforms`), so no shader divides within its loop.
 */
import { CONV_SHAPE, type ConvShape } from './conv2d.ts';
import { type BufferSpec, ceilDiv, kernel, memoize, type Kernel } from './kernel.ts';
import { RELU_WGSL } from './relu.ts';
import { type Fetch, matrixCursor, workgroupGrid, workgroupBody, type WorkgroupTile } from './workgroupCore.ts';

const UNIFORMS = {
  ...CONV_SHAPE,
  splits: 'u32',
  /** How far a stage moves the innermost index and, before carries, the next two. */
  step0: 'u32',
  step1: 'u32',
  step2: 'u32',
} as const;

type WorkgroupUniforms = Record<keyof typeof UNIFORMS, number>;

export type ConvPass = 'forward' | 'input' | 'filter';

/** The product of a pass: M x N results, sums over K. */
export function convProduct(
  pass: ConvPass,
  { B, C, H, W, K, R, S, OH, OW }: ConvShape,
): Record<'M' | 'N' | 'K', number> {
  if (pass === 'forward') return { M: K, N: B * OH * OW, K: C * R * S };
  if (pass === 'input') return { M: C, N: B * H * W, K: K * R * S };
  return { M: K, N: C * R * S, K: B * OH * OW };
}

/** Whether the filters are packed first. */
export const packsFilters = (pass: ConvPass, { R, S }: ConvShape): boolean => pass !== 'filter' && R * S > 1;

/** How the two factors of a pass are fetched. */
export function convAccess(pass: ConvPass, shape: ConvShape): { fetchA: Fetch; fetchB: Fetch } {
  if (pass === 'filter') return { fetchA: 'k', fetchB: 'k' };
  if (pass === 'forward' && !packsFilters(pass, shape)) return { fetchA: 'k', fetchB: 'side' };
  const rows = pass === 'forward' ? shape.K : shape.C;
  return { fetchA: rows % 4 === 0 ? 'vector' : 'side', fetchB: 'side' };
}

/** The uniforms of a pass for a tile. */
export function convUniforms(
  pass: ConvPass,
  { depth }: WorkgroupTile,
  shape: ConvShape,
  splits = 1,
): WorkgroupUniforms {
  // Forward and input gradient count channels, columns and rows of a tap; the filter gradient columns and rows of the map, images.
  const [first, second] = { forward: [shape.C, shape.S], input: [shape.K, shape.S], filter: [shape.OW, shape.OH] }[
    pass
  ] as [number, number];
  const carried = Math.floor(depth / first);
  return {
    ...shape,
    splits,
    step0: depth % first,
    step1: carried % second,
    step2: Math.floor(carried / second),
  };
}

/** Three nested indices that move by a stage, innermost first; `first` and `second` are expressions of their extents. */
const nextIndices = (first: string, second: string): string => `
  var i0 = at.i0 + u.step0;
  var i1 = at.i1 + u.step1;
  var i2 = at.i2 + u.step2;
  if (i0 >= ${first}) { i0 -= ${first}; i1++; }
  if (i1 >= ${second}) { i1 -= ${second}; i2++; }`;

/**
 * B of the forward pass and of the input gradient: the map `source` as an im2col matrix. Its index i0 is the channel, i1
 * and i2 are column and row of the tap. `corner` and `lookUp` are statements: the first compute where column n lies, as y,
 * x and base; the second which place of the map the tap (i2, i1) reads, OUTSIDE if there is none.
 */
const im2colCursor = (text: {
  source: string;
  channels: string;
  area: string;
  n: string;
  corner: string;
  lookUp: string;
}): string => `
const OUTSIDE = 0xffffffffu;
struct CursorB { places: vec4u, base: vec4u, y: vec4u, x: vec4u, k: u32, i0: u32, i1: u32, i2: u32 }
fn look_up(base: u32, y: u32, x: u32, r: u32, s: u32) -> u32 {
  ${text.lookUp}
}
fn look_up_four(base: vec4u, y: vec4u, x: vec4u, r: u32, s: u32) -> vec4u {
  return vec4u(look_up(base.x, y.x, x.x, r, s), look_up(base.y, y.y, x.y, r, s),
    look_up(base.z, y.z, x.z, r, s), look_up(base.w, y.w, x.w, r, s));
}
fn begin_b(slice: u32, columns: vec4u, k: u32) -> CursorB {
  let n = min(columns, vec4u(${text.n} - 1u));
  ${text.corner}
  let tap = k / ${text.channels};
  let r = tap / u.S;
  let s = tap % u.S;
  return CursorB(look_up_four(base, y, x, r, s), base, y, x, k, k % ${text.channels}, s, r);
}
fn element(place: u32, offset: u32) -> f32 {
  let inside = place != OUTSIDE;
  return select(0.0, ${text.source}[select(0u, place + offset, inside)], inside);
}
fn fetch_b(at: CursorB) -> vec4f {
  if (at.k >= ${text.channels} * u.R * u.S) { return vec4f(); }
  let offset = at.i0 * ${text.area};
  return vec4f(element(at.places.x, offset), element(at.places.y, offset),
    element(at.places.z, offset), element(at.places.w, offset));
}
fn next_b(at: CursorB) -> CursorB {${nextIndices(text.channels, 'u.S')}
  var places = at.places;
  if (i1 != at.i1 || i2 != at.i2) { places = look_up_four(at.base, at.y, at.x, i2, i1); }
  return CursorB(places, at.base, at.y, at.x, at.k + DEPTH, i0, i1, i2);
}`;

const vectorOf = (fetch: Fetch): ' vec4f' | '' => (fetch === 'vector' ? ' vec4f' : '');

/** Buffers x, w (packed where `packsFilters`), (bias,) y; `relu` is applied last. `fetchA` as `convAccess` says. */
export const convForwardWorkgroup = memoize(
  (tile: WorkgroupTile, fetchA: Fetch, bias: boolean, relu: boolean): Kernel => {
    const sum = `value${bias ? ' + bias[m]' : ''}`;
    return kernel({
      name: `conv2d_forward_workgroup${relu ? '_relu' : ''}`,
      buffers: {
        x: 'read',
        w: `read${vectorOf(fetchA)}`,
        ...(bias ? { bias: 'read' } : {}),
        y: 'write',
      } as Record<string, BufferSpec>,
      uniforms: UNIFORMS,
      grid: (u) => workgroupGrid(tile, u.K, u.B * u.OH * u.OW),
      ...workgroupBody(tile, {
        fetchA,
        fetchB: 'side',
        together: false,
        m: 'u.K',
        n: '(u.B * u.OH * u.OW)',
        steps: 'u.C * u.R * u.S',
        declarations: `${matrixCursor('a', {
          buffer: 'w',
          fetch: fetchA,
          base: '0u',
          extent: 'u.K',
          ...(fetchA === 'k' ? { side: 'u.C', step: '1u' } : { side: '1u', step: 'u.K' }),
          steps: 'u.C * u.R * u.S',
        })}
${im2colCursor({
  source: 'x',
  channels: 'u.C',
  area: '(u.H * u.W)',
  n: 'u.B * u.OH * u.OW',
  corner: `let image = n / (u.OH * u.OW);
  let pixel = n % (u.OH * u.OW);
  let y = pixel / u.OW * u.stride - u.pad;
  let x = pixel % u.OW * u.stride - u.pad;
  let base = image * u.C * u.H * u.W;`,
  lookUp: `// Unsigned: a place above or left of the map wraps around and fails the comparison.
  return select(OUTSIDE, base + (y + r) * u.W + x + s, y + r < u.H && x + s < u.W);`,
})}
fn column(n: u32) -> u32 {
  let outputs = u.OH * u.OW;
  return n / outputs * u.K * outputs + n % outputs;
}
${relu ? RELU_WGSL : ''}fn store(slice: u32, m: u32, n: u32, column: u32, value: f32) {
  y[column + m * u.OH * u.OW] = ${relu ? `relu(${sum})` : sum};
}`,
      }),
    });
  },
);

/** Buffers dy, w (packed where `packsFilters`), dx; dx is assigned, or with `add` added to. */
export const convInputGradientWorkgroup = memoize((tile: WorkgroupTile, fetchA: Fetch, add: boolean): Kernel =>
  kernel({
    name: `conv2d_input_gradient_workgroup${add ? '_add' : ''}`,
    buffers: { dy: 'read', w: `read${vectorOf(fetchA)}`, dx: add ? 'read_write' : 'write' },
    uniforms: UNIFORMS,
    grid: (u) => workgroupGrid(tile, u.C, u.B * u.H * u.W),
    ...workgroupBody(tile, {
      fetchA,
      fetchB: 'side',
      together: false,
      m: 'u.C',
      n: '(u.B * u.H * u.W)',
      steps: 'u.K * u.R * u.S',
      declarations: `${matrixCursor('a', {
        buffer: 'w',
        fetch: fetchA,
        base: '0u',
        extent: 'u.C',
        side: '1u',
        step: 'u.C',
        steps: 'u.K * u.R * u.S',
      })}
${im2colCursor({
  source: 'dy',
  channels: 'u.K',
  area: '(u.OH * u.OW)',
  n: 'u.B * u.H * u.W',
  corner: `let image = n / (u.H * u.W);
  let pixel = n % (u.H * u.W);
  let y = pixel / u.W + u.pad;
  let x = pixel % u.W + u.pad;
  let base = image * u.K * u.OH * u.OW;`,
  lookUp: `let oy = (y - r) / u.stride;
  let ox = (x - s) / u.stride;
  let divisible = oy * u.stride == y - r && ox * u.stride == x - s;
  return select(OUTSIDE, base + oy * u.OW + ox, divisible && oy < u.OH && ox < u.OW);`,
})}
fn column(n: u32) -> u32 {
  let plane = u.H * u.W;
  return n / plane * u.C * plane + n % plane;
}
fn store(slice: u32, m: u32, n: u32, column: u32, value: f32) {
  dx[column + m * u.H * u.W] ${add ? '+=' : '='} value;
}`,
    }),
  }),
);

/** Whether four neighbouring filter gradients are stored at once. */
export const storesFilterVectors = ({ C, R, S }: ConvShape): boolean => (C * R * S) % 4 === 0;

/** Buffers x, dy, dw. dw is assigned `splits` partial sums, or with `add` one sum is added to what it holds. */
export const convFilterGradientWorkgroup = memoize((tile: WorkgroupTile, together: boolean, add: boolean): Kernel =>
  kernel({
    name: `conv2d_filter_gradient_workgroup${add ? '_add' : ''}`,
    buffers: {
      x: 'read',
      dy: 'read',
      dw: `${add ? 'read_write' : 'write'}${together ? ' vec4f' : ''}`,
    } as unknown as Record<string, BufferSpec>,
    uniforms: UNIFORMS,
    grid: (u) => workgroupGrid(tile, u.K, u.C * u.R * u.S, u.splits),
    ...workgroupBody(tile, {
      fetchA: 'k',
      fetchB: 'k',
      together,
      m: 'u.K',
      n: '(u.C * u.R * u.S)',
      steps: '(last_step(slice) - first_step(slice))',
      declarations: `
// Positions (b, oy, ox) of a part: whole lines.
fn lines_of_part() -> u32 { return (u.B * u.OH + u.splits - 1u) / u.splits; }
fn first_step(slice: u32) -> u32 { return min(u.B * u.OH, slice * lines_of_part()) * u.OW; }
fn last_step(slice: u32) -> u32 { return min(u.B * u.OH, (slice + 1u) * lines_of_part()) * u.OW; }
struct CursorA { rows: vec4u, k: u32, last: u32, i0: u32, i1: u32, i2: u32 }
fn begin_a(slice: u32, m: vec4u, k: u32) -> CursorA {
  let position = first_step(slice) + k;
  let line = position / u.OW;
  let rows = min(m, vec4u(u.K - 1u)) * u.OH * u.OW;
  return CursorA(rows, position, last_step(slice), position % u.OW, line % u.OH, line / u.OH);
}
fn fetch_a(at: CursorA) -> vec4f {
  if (at.k >= at.last) { return vec4f(); }
  let places = at.rows + (at.i2 * u.K * u.OH + at.i1) * u.OW + at.i0;
  return vec4f(dy[places.x], dy[places.y], dy[places.z], dy[places.w]);
}
fn next_a(at: CursorA) -> CursorA {${nextIndices('u.OW', 'u.OH')}
  return CursorA(at.rows, at.k + DEPTH, at.last, i0, i1, i2);
}
struct CursorB { base: vec4u, r: vec4u, s: vec4u, k: u32, last: u32, i0: u32, i1: u32, i2: u32 }
fn begin_b(slice: u32, columns: vec4u, k: u32) -> CursorB {
  let taps = u.R * u.S;
  let n = min(columns, vec4u(u.C * taps - 1u));
  let tap = n % taps;
  let r = tap / u.S - u.pad;
  let s = tap % u.S - u.pad;
  let base = n / taps * u.H * u.W + r * u.W + s;
  let position = first_step(slice) + k;
  let line = position / u.OW;
  return CursorB(base, r, s, position, last_step(slice), position % u.OW, line % u.OH, line / u.OH);
}
fn element(place: u32, y: u32, x: u32) -> f32 {
  // Unsigned: a place above or left of the map wraps around and fails the comparison.
  let inside = y < u.H && x < u.W;
  return select(0.0, x_at(select(0u, place, inside)), inside);
}
fn x_at(place: u32) -> f32 { return x[place]; }
fn fetch_b(at: CursorB) -> vec4f {
  if (at.k >= at.last) { return vec4f(); }
  let y = at.i1 * u.stride;
  let x = at.i0 * u.stride;
  let places = at.base + (at.i2 * u.C * u.H + y) * u.W + x;
  return vec4f(element(places.x, y + at.r.x, x + at.s.x), element(places.y, y + at.r.y, x + at.s.y),
    element(places.z, y + at.r.z, x + at.s.z), element(places.w, y + at.r.w, x + at.s.w));
}
fn next_b(at: CursorB) -> CursorB {${nextIndices('u.OW', 'u.OH')}
  return CursorB(at.base, at.r, at.s, at.k + DEPTH, at.last, i0, i1, i2);
}
fn column(n: u32) -> u32 { return n; }
fn store(slice: u32, m: u32, n: u32, column: u32, value: ${together ? 'vec4f' : 'f32'}) {
  let filters = u.C * u.R * u.S;
  dw[(${add ? 'm' : '(slice * u.K + m)'} * filters + n)${together ? ' / 4u' : ''}] ${add ? '+=' : '='} value;
}`,
    }),
  }),
);

/** Side of the block of filters and columns (channel, tap) that a workgroup of `packFilters` turns round. */
const BLOCK = 16;
/** Channels of a workgroup of `packTurnedFilters`. */
const CHANNELS = 64;

const PACK_UNIFORMS = { K: 'u32', C: 'u32', taps: 'u32' } as const;

/**
 * w [K, C, taps] -> [taps, C, K]: what the forward pass sums over comes first. Each block goes through workgroup memory, so that
 * neighbouring invocations read and write neighbouring addresses.
 */
export const packFilters = kernel({
  name: 'pack_filters',
  buffers: { w: 'read', packed: 'write' },
  uniforms: PACK_UNIFORMS,
  grid: ({ K, C, taps }) => [ceilDiv(C * taps, BLOCK), ceilDiv(K, BLOCK), 1],
  lanes: BLOCK * BLOCK,
  functions: `var<workgroup> block: array<f32, ${BLOCK * (BLOCK + 1)}>;`,
  body: /* wgsl */ `
  let first_column = group.x * ${BLOCK}u;
  let first_filter = group.y * ${BLOCK}u;
  let inner = lane % ${BLOCK}u;
  let outer = lane / ${BLOCK}u;
  let columns = u.C * u.taps;
  if (first_filter + outer < u.K && first_column + inner < columns) {
    block[inner * ${BLOCK + 1}u + outer] = w[(first_filter + outer) * columns + first_column + inner];
  }
  workgroupBarrier();
  let row = first_filter + inner;
  let column = first_column + outer;
  if (row >= u.K || column >= columns) { return; }
  let channel = column / u.taps;
  packed[(column % u.taps * u.C + channel) * u.K + row] = block[outer * ${BLOCK + 1}u + inner];`,
});

/**
 * w [K, C, taps] -> [taps, K, C]: what the input gradient sums over comes first. Neighbouring invocations write
 * neighbouring addresses, and together read whole cache lines, tap by tap.
 */
export const packTurnedFilters = kernel({
  name: 'pack_turned_filters',
  buffers: { w: 'read', packed: 'write' },
  uniforms: PACK_UNIFORMS,
  grid: ({ K, C }) => [ceilDiv(C, CHANNELS), K, 1],
  lanes: CHANNELS,
  body: /* wgsl */ `
  let channel = group.x * ${CHANNELS}u + lane;
  let row = group.y;
  if (channel >= u.C) { return; }
  for (var tap = 0u; tap < u.taps; tap++) {
    packed[(tap * u.K + row) * u.C + channel] = w[(row * u.C + channel) * u.taps + tap];
  }`,
});

export function packFiltersReference(
  w: Float64Array,
  turned: boolean,
  { K, C, taps }: { K: number; C: number; taps: number },
): Float64Array {
  const packed = new Float64Array(w.length);
  for (let k = 0; k < K; k++)
    for (let c = 0; c < C; c++)
      for (let tap = 0; tap < taps; tap++) {
        packed[turned ? (tap * K + k) * C + c : (tap * C + c) * K + k] = w[(k * C + c) * taps + tap]!;
      }
  return packed;
}
