/**
 * The gradient of sampled proposals in the RPN's box deltas ("non-approximate joint training", paper, section 3.2, scheme
 * iii; Dai, He, Sun 2016): through clipping and the decoding of an anchor (boxes.ts).
 *
 *   drois [batch,5] -> ddeltas [4A,H,W], which must be zero before. Row r is candidate selected[r]: a proposal below
 *   capacity, else a ground-truth box (or -1, absent), which depends on no delta.
 *
 *   dtx = (dx1 + dx2) w      dtw = (dx2 - dx1) w exp(tw) / 2      w the anchor's width; y and h alike
 *   A coordinate that was clipped, and a tw at its bound, have no gradient: moving the delta does not move them.
 *   Each is then bounded to [-limit, limit], as caffe-mnc does; NaN stays NaN.
 *
 * A proposal comes from one anchor and is sampled once at most, so no two rows write the same element.
 */
import { anchorAt } from './anchorGrid.ts';
import { BOXES_WGSL, type Box, clipBox, decodeBox, MAX_LOG_SCALE } from './boxes.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { ANCHOR_DELTAS_WGSL, DECODE_UNIFORMS, type ProposalParams } from './proposals.ts';
import { vec4At } from './text.ts';

export const decodeProposalsBackward = kernel({
  name: 'decode_proposals_backward',
  buffers: {
    anchors: 'read vec4f',
    deltas: 'read',
    roiAnchors: 'read i32',
    selected: 'read i32',
    drois: 'read',
    ddeltas: 'write',
  },
  uniforms: { ...DECODE_UNIFORMS, batch: 'u32', capacity: 'u32', limit: 'f32' },
  each: 'batch',
  functions: IEEE_WGSL + BOXES_WGSL + ANCHOR_DELTAS_WGSL,
  body: /* wgsl */ `
  let candidate = selected[i];
  if (candidate < 0 || u32(candidate) >= u.capacity) { return; }
  let anchor = anchor_of_proposal(u32(roiAnchors[candidate]));
  let t = deltas_of(anchor);
  let box = decode_box(anchor.box, t, u.plusOne, u.decodeShrink);
  let moves = box == clip_box(box, u.imageHeight, u.imageWidth, u.plusOne);
  let d = select(vec4f(0.0), ${vec4At('drois', 'i * 5u + 1u')}, moves);
  let size = anchor.box.zw - anchor.box.xy + u.plusOne;
  let centre = (d.xy + d.zw) * size;
  let half = select(vec2f(0.0), 0.5 * size * exp(t.zw), t.zw < vec2f(${MAX_LOG_SCALE}));
  let extent = (d.zw - d.xy) * half;
  let gradient = vec4f(centre, extent);
  let bounded = clamp(gradient, vec4f(-u.limit), vec4f(u.limit));
  let dt = select(bounded, gradient, is_nan4(gradient));
  for (var k = 0u; k < 4u; k++) { ddeltas[first_delta(anchor) + k * u.height * u.width] = dt[k]; }`,
});

type DecodeParams = Pick<ProposalParams, keyof typeof DECODE_UNIFORMS> & { limit: number };

interface DecodeInputs {
  anchors: Float64Array;
  deltas: Float64Array;
  roiAnchors: Int32Array;
  selected: Int32Array;
  drois: Float64Array;
}

/** ddeltas [4A,H,W]. */
export function decodeProposalsBackwardReference(
  { anchors, deltas, roiAnchors, selected, drois }: DecodeInputs,
  params: DecodeParams & { capacity: number },
): Float64Array {
  const { anchorCount, height, width, plusOne, decodeShrink, limit } = params;
  const bounded = (value: number): number => Math.max(-limit, Math.min(limit, value));
  const cells = height * width;
  const ddeltas = new Float64Array(4 * anchorCount * cells);
  selected.forEach((candidate, r) => {
    if (candidate < 0 || candidate >= params.capacity) return;
    const i = roiAnchors[candidate]!;
    const [a, cell] = [i % anchorCount, Math.floor(i / anchorCount)];
    const at = (k: number): number => (a * 4 + k) * cells + cell;
    const t = [0, 1, 2, 3].map((k) => deltas[at(k)]!) as unknown as Box;
    const anchor = anchorAt(anchors, a * cells + cell, params);
    const box = decodeBox(anchor, t, plusOne, decodeShrink);
    const clipped = clipBox(box, params.imageHeight, params.imageWidth, plusOne);
    const d = [0, 1, 2, 3].map((k) => (box[k] === clipped[k] ? drois[r * 5 + 1 + k]! : 0));
    for (const k of [0, 1]) {
      const size = anchor[k + 2]! - anchor[k]! + plusOne;
      ddeltas[at(k)] = bounded((d[k]! + d[k + 2]!) * size);
      const scale = t[k + 2]! < MAX_LOG_SCALE ? Math.exp(t[k + 2]!) : 0;
      ddeltas[at(k + 2)] = bounded((d[k + 2]! - d[k]!) * 0.5 * size * scale);
    }
  });
  return ddeltas;
}
