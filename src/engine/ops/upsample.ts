/** Upsampling of maps. */
import { upsampleBilinear as bilinearKernel, upsampleBilinearBackward } from '../../kernels/upsampleBilinear.ts';
import { upsampleNearest as nearestKernel, upsampleNearestBackward } from '../../kernels/upsampleNearest.ts';
import { operation, onTape } from '../autograd.ts';
import { floatOf } from '../precision.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { expectRank } from './shapes.ts';

type Size = readonly [height: number, width: number];
/** `like`: the map whose size was asked for. */
type Saved = { x: Shape; uniforms: Record<keyof typeof nearestKernel.uniforms, number>; like: Tensor | null };

/** `least`: the smallest size for maps of a size. */
function upsampling(
  name: string,
  forward: typeof nearestKernel,
  backward: typeof upsampleNearestBackward,
  least: (size: Size) => Size,
) {
  const own = operation<Saved>(
    name,
    ({ dy }, { x, uniforms }) => {
      const dx = dy.gpu.empty(x, dy.dtype, `dx ${name}`);
      dy.gpu.run(backward, { dy, dx }, uniforms);
      return [dx];
    },
    true,
  );
  const apply = (x: Tensor, size: Size | Tensor): Tensor => {
    expectRank(name, 'x', x, 'N,C,H,W');
    const [B, C, h, w] = x.shape as [number, number, number, number];
    const like = 'shape' in size ? size : null;
    if (like) expectRank(name, 'size', like, 'N,C,H,W');
    const [outH, outW] = 'shape' in size ? (size.shape.slice(2) as [number, number]) : size;
    const [leastH, leastW] = least([h, w]);
    if (!(Number.isInteger(outH) && Number.isInteger(outW) && outH >= leastH && outW >= leastW))
      throw new Error(`${name}: size is ${outH}x${outW}, expected whole numbers from ${leastH}x${leastW} on`);
    const y = x.gpu.empty([B, C, outH, outW], floatOf(x), `${name} ${x.name}`);
    const uniforms = { planes: B * C, h, w, outH, outW };
    x.gpu.run(forward, { x, y }, uniforms);
    return onTape(own, [x], y, { x: x.shape, uniforms, like });
  };
  return { own, apply };
}

const nearest = upsampling('upsampleNearest', nearestKernel, upsampleNearestBackward, (own) => own);
const bilinear = upsampling('upsampleBilinear', bilinearKernel, upsampleBilinearBackward, () => [1, 1]);

export const upsampleNearestOperation = nearest.own;
export const upsampleBilinearOperation = bilinear.own;

/**
 * Each cell repeated so that the map has `size`, at least its own: y[i, j] = x[floor(i H / height), floor(j W / width)].
 * @param x [N, C, H, W]   @param size [height, width], or a map that has it   @returns [N, C, height, width]
 */
export const upsampleNearest = (x: Tensor, size: Size | Tensor): Tensor => nearest.apply(x, size);

/**
 * Maps of `size`, each cell mixed of its four neighbours: PyTorch's `interpolate` with align_corners=False.
 * @param x [N, C, H, W]   @param size [height, width], or a map that has it   @returns [N, C, height, width]
 */
export const upsampleBilinear = (x: Tensor, size: Size | Tensor): Tensor => bilinear.apply(x, size);
