/**
 * An operation of your own: one WGSL kernel for the forward pass, one for the backward pass, the rule that joins them, and a
 * check that the rule is the gradient. The operation is Swish, y = x / (1 + e^-x).
 *
 *   npx tsx examples/ownOperation.ts
 */
import { elementwise4, linear, openGpu, operation, onTape, Sgd, sum, type Tensor } from '../src/node.ts';
import { gaussian, meanSquaredError, zeros } from '../src/node.ts';

// A kernel is data: buffers in the order of their bindings, uniforms, WGSL. `elementwise4` runs the body on four elements at a
// time, so i counts vec4f; `kernel` is for everything else (docs/engine.md).
const forward = elementwise4({
  name: 'swish',
  buffers: { x: 'read vec4f', y: 'write vec4f' },
  body: 'y[i] = x[i] / (1.0 + exp(-x[i]));',
});
const backward = elementwise4({
  name: 'swish_backward',
  buffers: { x: 'read vec4f', dy: 'read vec4f', dx: 'write vec4f' },
  body: `let s = 1.0 / (1.0 + exp(-x[i]));
    dx[i] = dy[i] * s * (1.0 + x[i] * (1.0 - s));`,
});

// The rule gets dy and what the forward pass saved, and returns a fresh gradient for every input.
const swishOperation = operation<{ x: Tensor }>('swish', ({ dy }, { x }) => {
  const dx = x.gpu.empty(x.shape, 'f32', 'dx swish');
  x.gpu.run(backward, { x, dy, dx }, { n: x.size });
  return [dx];
});

export function swish(x: Tensor): Tensor {
  const y = x.gpu.empty(x.shape, 'f32', 'swish');
  x.gpu.run(forward, { x, y }, { n: x.size });
  return onTape(swishOperation, [x], y, { x });
}

const gpu = await openGpu();
console.log(gpu.adapter.description);

// The check: central differences of the sum, at a few points.
const points = Float32Array.of(-4, -1, -0.1, 0.3, 2, 5);
const x = gpu.tensor(points, [6], 'x');
x.requiresGrad = true;
sum(swish(x)).backward();
const gradient = await x.grad!.read();
const at = async (shift: number) =>
  gpu
    .scope(() =>
      swish(
        gpu.tensor(
          points.map((v) => v + shift),
          [6],
        ),
      ),
    )
    .read();
const [above, below] = [await at(0.01), await at(-0.01)];
const off = Math.max(...gradient.map((g, i) => Math.abs(g - (above[i]! - below[i]!) / 0.02)));
console.log(`largest difference from central differences: ${off.toExponential(1)}`);

// In use: one hidden layer that learns a sine.
const inputs = Float32Array.from({ length: 128 }, (_, i) => (i - 64) / 20);
const t = gpu.tensor(inputs, [128, 1]);
const sine = gpu.tensor(inputs.map(Math.sin), [128, 1]);
const [w1, b1] = [gpu.parameter(gaussian(1, 1), [32, 1], 'w1'), gpu.parameter(gaussian(1, 2), [32], 'b1')];
const [w2, b2] = [gpu.parameter(gaussian(0.2, 3), [1, 32], 'w2'), gpu.parameter(zeros, [1], 'b2')];
const sgd = new Sgd([w1, b1, w2, b2], { learningRate: 0.01, momentum: 0.9 });
const loss = (): Tensor => meanSquaredError(linear(swish(linear(t, w1, b1)), w2, b2), sine);
for (let step = 0; step < 1000; step++) {
  sgd.zeroGrad();
  gpu.scope(() => loss().backward());
  sgd.step();
}
console.log(`loss ${(await loss().read())[0]!.toFixed(5)}`);
gpu.close();
