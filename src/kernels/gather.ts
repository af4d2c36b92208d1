/**
 * Values that are chosen by their index along the middle axis, and rows of a table; and the gradients, which gather too.
 *
 *   gather           y[o, j, i] = x[o, index[o, j, i], i]            dx[o, c, i] = the sum of dy[o, j, i] over the j with index c
 *   embedding        y[n, d] = table[index[n], d]                    dtable[v, d] = the sum of dy[n, d] over the n with index v
 *
 * The gradient of `gather` looks at every index. That of `embedding`, whose tables are long, looks up each row in the sorted list of
 * indices (`embedding_keys`, radixSort.ts); rows that share an index are added in their order. An index that does not exist gives NaN.
 */
import { kernel } from './kernel.ts';

const uniforms = { outer: 'u32', channels: 'u32', picks: 'u32', inner: 'u32' } as const;
export type GatherShape = Record<keyof typeof uniforms, number>;

/** NaN, in a form that no compiler finds at compile time, which it would refuse. */
const NAN = 'bitcast<f32>(select(0x7fc00000u, 0u, exists))';

export const gather = kernel({
  name: 'gather',
  buffers: { x: 'read', index: 'read i32', y: 'write' },
  uniforms,
  each: ['outer', 'picks', 'inner'],
  body: /* wgsl */ `
  let channel = index[i];
  let exists = channel >= 0 && channel < i32(u.channels);
  let at = (i / (u.picks * u.inner) * u.channels + u32(select(0, channel, exists))) * u.inner + i % u.inner;
  y[i] = select(${NAN}, x[at], exists);`,
});

export const gatherBackward = kernel({
  name: 'gather_backward',
  buffers: { dy: 'read', index: 'read i32', dx: 'write' },
  uniforms,
  each: ['outer', 'channels', 'inner'],
  body: /* wgsl */ `
  let channel = i32(i / u.inner % u.channels);
  let first = i / (u.channels * u.inner) * u.picks * u.inner + i % u.inner;
  var sum = 0.0;
  for (var at = first; at < first + u.picks * u.inner; at += u.inner) {
    if (index[at] == channel) { sum += dy[at]; }
  }
  dx[i] = sum;`,
});

const tableUniforms = { n: 'u32', rows: 'u32', columns: 'u32' } as const;

export const embedding = kernel({
  name: 'embedding',
  buffers: { table: 'read', index: 'read i32', y: 'write' },
  uniforms: tableUniforms,
  each: ['n', 'columns'],
  body: /* wgsl */ `
  let row = index[i / u.columns];
  let exists = row >= 0 && row < i32(u.rows);
  y[i] = select(${NAN}, table[u32(select(0, row, exists)) * u.columns + i % u.columns], exists);`,
});

/** What is sorted: indices, negative ones last, and their places. */
export const embeddingKeys = kernel({
  name: 'embedding_keys',
  buffers: { index: 'read i32', keys: 'write u32', order: 'write u32' },
  uniforms: { n: 'u32' },
  each: 'n',
  body: 'keys[i] = u32(index[i]); order[i] = i;',
});

export const embeddingBackward = kernel({
  name: 'embedding_backward',
  buffers: { dy: 'read', keys: 'read u32', order: 'read u32', dtable: 'write' },
  uniforms: tableUniforms,
  each: ['rows', 'columns'],
  body: /* wgsl */ `
  let row = i / u.columns;
  var low = 0u;
  var high = u.n;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (keys[middle] < row) { low = middle + 1u; } else { high = middle; }
  }
  var sum = 0.0;
  for (var at = low; at < u.n && keys[at] == row; at++) { sum += dy[order[at] * u.columns + i % u.columns]; }
  dtable[i] = sum;`,
});

/** Calls `visit` with the place of every value chosen and the place that it came from. */
function eachPick(
  index: Int32Array,
  { channels, picks, inner }: GatherShape,
  visit: (to: number, from: number | null) => void,
): void {
  index.forEach((channel, i) => {
    const from = (Math.floor(i / (picks * inner)) * channels + channel) * inner + (i % inner);
    visit(i, channel >= 0 && channel < channels ? from : null);
  });
}

export function gatherReference(x: Float64Array, index: Int32Array, shape: GatherShape): Float64Array {
  const y = new Float64Array(index.length);
  eachPick(index, shape, (to, from) => (y[to] = from === null ? NaN : x[from]!));
  return y;
}

export function gatherBackwardReference(dy: Float64Array, index: Int32Array, shape: GatherShape): Float64Array {
  const dx = new Float64Array(shape.outer * shape.channels * shape.inner);
  eachPick(index, shape, (to, from) => {
    if (from !== null) dx[from]! += dy[to]!;
  });
  return dx;
}
