/** The kernels chosen for the shapes that a device has met: the planner's choice, or what was put in its place. */
import type { ConvShape } from '../kernels/conv2d.ts';
import type { MatmulShape, MatmulTile } from '../kernels/matmul.ts';
import { type Capabilities, type ConvDirection, type ConvPlan, convPlans, matmulTiles } from '../kernels/planner.ts';

const convKey = (direction: ConvDirection, { B, C, H, W, K, R, S, stride, pad }: ConvShape): string =>
  `${direction} ${B}x${C}x${H}x${W} ${K}x${R}x${S} s${stride} p${pad}`;
const matmulKey = ({ M, N, K, am, ak, bk, bn, cm, cn, batch }: MatmulShape): string =>
  `${batch}x${M}x${N}x${K} ${am},${ak} ${bk},${bn} ${cm},${cn}`;

export class Plans {
  readonly device: Capabilities;
  private readonly convs = new Map<string, ConvPlan>();
  private readonly products = new Map<string, MatmulTile>();

  constructor(device: Capabilities) {
    this.device = device;
  }

  conv(direction: ConvDirection, shape: ConvShape): ConvPlan {
    const key = convKey(direction, shape);
    let plan = this.convs.get(key);
    if (!plan) this.convs.set(key, (plan = convPlans(this.device, direction, shape)[0]!));
    return plan;
  }

  matmul(shape: MatmulShape): MatmulTile {
    const key = matmulKey(shape);
    let tile = this.products.get(key);
    if (!tile) this.products.set(key, (tile = matmulTiles(this.device, shape)[0]!));
    return tile;
  }

  setConv(direction: ConvDirection, shape: ConvShape, plan: ConvPlan): void {
    this.convs.set(convKey(direction, shape), plan);
  }

  setMatmul(shape: MatmulShape, tile: MatmulTile): void {
    this.products.set(matmulKey(shape), tile);
  }
}
