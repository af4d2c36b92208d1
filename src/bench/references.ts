/** Single elements of convolutions and products in float64, computed from float32 inputs: the benchmark checks a sample of the results against them. */
import { type Expected } from './compare.ts';
import { type ConvLayer, outputSize } from './shapes.ts';

/** A sum and the sum of its terms' absolute values. */
class Sum {
  value = 0;
  magnitude = 0;

  add(term: number): void {
    this.value += term;
    this.magnitude += Math.abs(term);
  }

  at = (index: number): Expected => ({ index, value: this.value, magnitude: this.magnitude });
}

/** y[k,oy,ox] = sum w[k,c,r,s] x[c, oy st - pad + r, ox st - pad + s] */
export function convForwardElement(layer: ConvLayer, x: Float32Array, w: Float32Array, index: number): Expected {
  const { C, H, W, side, stride, pad } = layer;
  const { OH, OW } = outputSize(layer);
  const [k, oy, ox] = [Math.floor(index / (OH * OW)), Math.floor(index / OW) % OH, index % OW];
  const sum = new Sum();
  for (let c = 0; c < C; c++)
    for (let r = 0; r < side; r++)
      for (let s = 0; s < side; s++) {
        const [iy, ix] = [oy * stride - pad + r, ox * stride - pad + s];
        if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
        sum.add(w[((k * C + c) * side + r) * side + s]! * x[(c * H + iy) * W + ix]!);
      }
  return sum.at(index);
}

/** dx[c,iy,ix] = sum w[k,c,r,s] dy[k, (iy + pad - r) / st, (ix + pad - s) / st] where divisible */
export function convInputGradientElement(layer: ConvLayer, dy: Float32Array, w: Float32Array, index: number): Expected {
  const { C, K, H, W, side, stride, pad } = layer;
  const { OH, OW } = outputSize(layer);
  const [c, iy, ix] = [Math.floor(index / (H * W)), Math.floor(index / W) % H, index % W];
  const sum = new Sum();
  for (let r = 0; r < side; r++)
    for (let s = 0; s < side; s++) {
      const [oy, ox] = [(iy + pad - r) / stride, (ix + pad - s) / stride];
      if (!Number.isInteger(oy) || !Number.isInteger(ox) || oy < 0 || oy >= OH || ox < 0 || ox >= OW) continue;
      for (let k = 0; k < K; k++) sum.add(w[((k * C + c) * side + r) * side + s]! * dy[(k * OH + oy) * OW + ox]!);
    }
  return sum.at(index);
}

/** dw[k,c,r,s] = sum dy[k,oy,ox] x[c, oy st - pad + r, ox st - pad + s] */
export function convFilterGradientElement(
  layer: ConvLayer,
  x: Float32Array,
  dy: Float32Array,
  index: number,
): Expected {
  const { C, H, W, side, stride, pad } = layer;
  const { OH, OW } = outputSize(layer);
  const [s, r] = [index % side, Math.floor(index / side) % side];
  const [c, k] = [Math.floor(index / side ** 2) % C, Math.floor(index / (C * side ** 2))];
  const sum = new Sum();
  for (let oy = 0; oy < OH; oy++)
    for (let ox = 0; ox < OW; ox++) {
      const [iy, ix] = [oy * stride - pad + r, ox * stride - pad + s];
      if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
      sum.add(dy[(k * OH + oy) * OW + ox]! * x[(c * H + iy) * W + ix]!);
    }
  return sum.at(index);
}

/** y = a b^T, where all three are [n, n]. */
export function productElement(n: number, a: Float32Array, b: Float32Array, index: number): Expected {
  const [row, column] = [Math.floor(index / n), index % n];
  const sum = new Sum();
  for (let i = 0; i < n; i++) sum.add(a[row * n + i]! * b[column * n + i]!);
  return sum.at(index);
}
