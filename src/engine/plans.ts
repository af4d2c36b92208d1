/**
 * The kernels chosen for the shapes met so far: the planner's first candidate, or the one that the tuner (tuner.ts) found
 * faster and that `use` puts in its place. The device has plans of its own, and so has every model (`Gpu.withPlans`). Choices
 * are text, so they can be kept in a file; a choice that is no longer a candidate is passed over.
 */
import type { ConvShape } from '../kernels/conv2d.ts';
import type { ConvPass } from '../kernels/conv2dWorkgroup.ts';
import type { Capabilities } from '../kernels/machine.ts';
import type { MatmulShape, MatmulTile } from '../kernels/matmul.ts';
import { type ConvPlan, convPlans, matmulTiles, turnsProduct } from '../kernels/planner.ts';
import { productSplits } from '../kernels/workgroupPlans.ts';

/** Keys of shapes to the JSON of a plan or a tile. */
export type Choices = Readonly<Record<string, string>>;

/** A shape that was met, with its candidates. */
export type Met =
  | {
      readonly kind: 'conv';
      readonly direction: ConvPass;
      readonly shape: ConvShape;
      readonly candidates: readonly ConvPlan[];
    }
  | { readonly kind: 'matmul'; readonly shape: MatmulShape; readonly candidates: readonly MatmulTile[] };

const convKey = (direction: ConvPass, { B, C, H, W, K, R, S, stride, pad }: ConvShape): string =>
  `conv ${direction} ${B}x${C}x${H}x${W} ${K}x${R}x${S} s${stride} p${pad}`;
const matmulKey = ({ M, N, K, am, ak, bk, bn, cm, cn, batch }: MatmulShape): string =>
  `matmul ${batch}x${M}x${N}x${K} ${am},${ak} ${bk},${bn} ${cm},${cn}`;

export class Plans {
  private planned: Capabilities;
  private choices: Choices = {};
  private readonly chosen = new Map<string, ConvPlan | MatmulTile>();
  private readonly turns = new Map<string, boolean>();
  private readonly parts = new Map<string, number>();
  /** Shapes met since `takeUntuned` was last called, by their keys. */
  private fresh = new Map<string, Met>();

  constructor(device: Capabilities) {
    this.planned = device;
  }

  /** What the kernels are chosen for: a device as it is, or as `planFor` has it. */
  get device(): Capabilities {
    return this.planned;
  }

  /** Forgets what was chosen so far and plans for a device like this one, which the real one serves (`serves`). */
  planFor(device: Capabilities): void {
    this.planned = device;
    this.turns.clear();
    this.parts.clear();
    this.use({});
  }

  conv(direction: ConvPass, shape: ConvShape): ConvPlan {
    const key = convKey(direction, shape);
    const known = this.chosen.get(key);
    if (known) return known as ConvPlan;
    const candidates = convPlans(this.device, direction, shape);
    return this.meet(key, { kind: 'conv', direction, shape: { ...shape }, candidates }, candidates);
  }

  matmul(shape: MatmulShape): MatmulTile {
    const key = matmulKey(shape);
    const known = this.chosen.get(key);
    if (known) return known as MatmulTile;
    const candidates = matmulTiles(this.device, shape);
    return this.meet(key, { kind: 'matmul', shape: { ...shape }, candidates }, candidates);
  }

  /** Which of a product and its transpose is cheaper; the shapes differ in nothing else. */
  cheaper(shape: MatmulShape, turned: MatmulShape): MatmulShape {
    const key = matmulKey(shape);
    let turns = this.turns.get(key);
    if (turns === undefined) this.turns.set(key, (turns = turnsProduct(this.device, shape, turned)));
    return turns ? turned : shape;
  }

  /** Parts into which the sum of a product is split. */
  splits(shape: MatmulShape): number {
    if (this.device.software) return 1;
    const key = matmulKey(shape);
    let parts = this.parts.get(key);
    if (parts === undefined) this.parts.set(key, (parts = productSplits(this.device, shape)));
    return parts;
  }

  private meet<T extends ConvPlan | MatmulTile>(key: string, met: Met, candidates: readonly T[]): T {
    const text = this.choices[key];
    const choice = text === undefined ? undefined : candidates.find((candidate) => JSON.stringify(candidate) === text);
    if (!choice) this.fresh.set(key, met);
    const plan = choice ?? candidates[0]!;
    this.chosen.set(key, plan);
    return plan;
  }

  /** Computes a shape by one of its candidates from now on. */
  set(met: Met, candidate: ConvPlan | MatmulTile): void {
    const key = met.kind === 'conv' ? convKey(met.direction, met.shape) : matmulKey(met.shape);
    this.chosen.set(key, candidate);
    this.choices = { ...this.choices, [key]: JSON.stringify(candidate) };
  }

  /** Forgets what was chosen so far and takes these choices instead. */
  use(choices: Choices): void {
    this.choices = choices;
    this.chosen.clear();
    this.fresh.clear();
  }

  /** The choices that were set or used. */
  export(): Choices {
    return this.choices;
  }

  /** Shapes met since the last call for which no choice was made: what the tuner has yet to time. */
  takeUntuned(): Met[] {
    const met = [...this.fresh.values()];
    this.fresh.clear();
    return met;
  }
}
