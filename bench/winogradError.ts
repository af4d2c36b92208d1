/**
 * The error of each form of a 3x3 convolution against float64: root mean square error divided by root mean square value, at
 * 2000 sampled results each. Inputs are rectified normal numbers, filters normal with He's deviation, output gradients normal.
 *
 *   npx tsx bench/winogradError.ts
 */
import { runConvFilterGradient, runConvForward, runConvInputGradient } from '../src/engine/convolution.ts';
import { convShape } from '../src/kernels/checks/matmul.ts';
import type { ConvPass } from '../src/kernels/conv2dWorkgroup.ts';
import { convPlans } from '../src/kernels/planner.ts';
import { Random } from '../src/kernels/rng.ts';
import { openGpu } from '../src/node.ts';

const SAMPLES = 2000;

const gpu = await openGpu();
console.log(`on ${gpu.adapter.description}`);
const random = new Random(1);
const normals = (n: number, deviation = 1) => Float32Array.from({ length: n }, () => deviation * random.normal());

for (const [C, K, H, W] of [
  [64, 64, 75, 100],
  [256, 256, 38, 50],
  [512, 512, 38, 50],
] as const) {
  const shape = convShape([1, C, H, W], [K, 3, 3], 1, 1);
  const x = normals(C * H * W).map((value) => Math.max(0, value));
  const w = normals(K * C * 9, Math.sqrt(2 / (9 * C)));
  const dy = normals(K * H * W);
  const at = (data: Float32Array, c: number, y: number, z: number) =>
    y < 0 || y >= H || z < 0 || z >= W ? 0 : data[(c * H + y) * W + z]!;
  const whole = (n: number) => random.integer(n);
  const taps = Array.from({ length: 9 }, (_, i) => [Math.floor(i / 3) - 1, (i % 3) - 1] as const);

  /** The index of a random result and its value in float64. */
  const exact: Record<ConvPass, () => [number, number]> = {
    forward() {
      const [k, i, j] = [whole(K), whole(H), whole(W)];
      let sum = 0;
      for (let c = 0; c < C; c++)
        taps.forEach(([r, s], t) => (sum += w[(k * C + c) * 9 + t]! * at(x, c, i + r, j + s)));
      return [(k * H + i) * W + j, sum];
    },
    input() {
      const [c, i, j] = [whole(C), whole(H), whole(W)];
      let sum = 0;
      for (let k = 0; k < K; k++)
        taps.forEach(([r, s], t) => (sum += w[(k * C + c) * 9 + t]! * at(dy, k, i - r, j - s)));
      return [(c * H + i) * W + j, sum];
    },
    filter() {
      const [k, c, t] = [whole(K), whole(C), whole(9)];
      const [r, s] = taps[t]!;
      let sum = 0;
      for (let i = 0; i < H; i++) for (let j = 0; j < W; j++) sum += at(dy, k, i, j) * at(x, c, i + r, j + s);
      return [(k * C + c) * 9 + t, sum];
    },
  };

  for (const direction of ['forward', 'input', 'filter'] as const) {
    const expected = Array.from({ length: SAMPLES }, exact[direction]);
    const forms = new Map<string, string>();
    for (const plan of convPlans(gpu.plans.device, direction, shape)) {
      const name = plan.algorithm === 'winograd' ? `F(${plan.size}x${plan.size})` : plan.algorithm;
      if (forms.has(name)) continue;
      gpu.plans.set({ kind: 'conv', direction, shape, candidates: [] }, plan);
      const values = await gpu.scope(async () => {
        const given = { x: gpu.tensor(x, [C, H, W]), w: gpu.tensor(w, [K, C, 9]), dy: gpu.tensor(dy, [K, H, W]) };
        if (direction === 'forward') {
          const y = gpu.empty([K, H, W]);
          runConvForward(gpu, { x: given.x, w: given.w, bias: null, y }, shape, false, false);
          return y.read();
        }
        if (direction === 'input') {
          const dx = gpu.empty([C, H, W]);
          runConvInputGradient(gpu, { dy: given.dy, w: given.w, dx }, shape, false);
          return dx.read();
        }
        const dw = gpu.empty([K, C, 9]);
        runConvFilterGradient(gpu, { x: given.x, dy: given.dy, dw, points: null }, shape, false);
        return dw.read();
      });
      const squares = expected.reduce((sum, [, value]) => sum + value ** 2, 0);
      const errors = expected.reduce((sum, [index, value]) => sum + (values[index]! - value) ** 2, 0);
      forms.set(name, Math.sqrt(errors / squares).toExponential(1));
    }
    console.log(
      `${C}->${K} ${H}x${W} ${direction.padEnd(8)}`,
      [...forms].map(([name, error]) => `${name} ${error}`).join('   '),
    );
  }
}
gpu.close();
