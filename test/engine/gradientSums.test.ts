/** The order in which the gradients of several images are added, against float32 sums on the CPU. */
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GradientSums } from '../../src/engine/gradientSums.ts';
import { nodesWithin, sumsAtATime, TreeSum } from '../../src/engine/treeSum.ts';
import { multiply, sum } from '../../src/index.ts';
import { normals } from '../../src/kernels/checks/inputs.ts';
import { sharedGpu } from '../harness.ts';

const plus = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value + b[i]!);

/** The tree as its definition has it: halves of the next power of two. */
function reference(gradients: readonly Float32Array[], start = 0, size?: number): Float32Array {
  size ??= 2 ** Math.ceil(Math.log2(gradients.length));
  if (size === 1) return gradients[start]!;
  const middle = start + size / 2;
  const left = reference(gradients, start, size / 2);
  return middle < gradients.length ? plus(left, reference(gradients, middle, size / 2)) : left;
}

/** Consecutive places of `count`, cut at random. */
const cuts = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.array(fc.nat({ max: 40 }), { maxLength: 9 }))
  .map(([count, at]) => ({
    count,
    bounds: [0, ...at.filter((place) => place < count).sort((a, b) => a - b), count],
  }));

test('however the places are cut, the nodes of the parts give the same tree', () => {
  fc.assert(
    fc.property(cuts, ({ count, bounds }) => {
      const leaves = Array.from({ length: count }, (_, place) => normals(3, place + 1));
      const adding = () => new TreeSum<Float32Array>((total, term) => term.forEach((value, i) => (total[i]! += value)));
      const whole = adding();
      for (const [part, end] of bounds.slice(1).entries()) {
        const first = bounds[part]!;
        const own = adding();
        for (let start = first; start < end; start++) own.push({ start, size: 1, sum: leaves[start]!.slice() });
        assert.equal(
          own.waiting.map(({ start, size }) => ({ start, size })),
          nodesWithin(first, end),
        );
        assert.ok(sumsAtATime(first, end) <= 2 * Math.log2(end - first + 1) + 1);
        own.waiting.forEach((node) => whole.push(node));
      }
      assert.equal(whole.finish(), reference(leaves));
    }),
  );
});

test('sums of many images wait in few buffers', () => {
  assert.equal(
    [1, 2, 3, 4, 8, 9, 64].map((images) => sumsAtATime(0, images)),
    [1, 2, 2, 3, 4, 4, 7],
  );
});

for (const images of [1, 2, 3, 5, 8])
  test(`${images} images: the bits of float32 sums in the order of the tree`, async () => {
    const gpu = await sharedGpu();
    const sizes = [1, 7, 4099, 64, 33];
    const parameters = sizes.map((size, k) => gpu.parameter(new Float32Array(size).fill(1), [size], `p${k}`));
    const frozen = gpu.parameter([1], [1], 'frozen');
    frozen.requiresGrad = false;
    const sums = new GradientSums([...parameters, frozen]);
    for (const update of [0, 1]) {
      const factors = Array.from({ length: images }, (_, place) =>
        sizes.map((size, k) => normals(size, 1 + k + 10 * place + 1000 * update)),
      );
      factors.forEach((each, place) =>
        sums.add(place, () =>
          gpu.scope(() => {
            const terms = parameters.map((p, k) => sum(multiply(p, gpu.tensor(each[k]!, p.shape))));
            terms.forEach((term) => term.backward());
          }),
        ),
      );
      sums.finish();
      for (const [k, parameter] of parameters.entries()) {
        assert.equal(await parameter.grad!.read(), reference(factors.map((each) => each[k]!)), `p${k}`);
      }
    }
    assert.is(frozen.grad, null);
    sums.dispose();
    for (const parameter of [...parameters, frozen]) parameter.dispose();
  });

test('a parameter that some images leave out has the sum of the others', async () => {
  const gpu = await sharedGpu();
  const [a, b] = [gpu.parameter([1], [1], 'a'), gpu.parameter([1], [1], 'b')];
  const sums = new GradientSums([a, b]);
  const seen = [[a], [a, b], [b], [a, b]];
  for (let update = 0; update < 2; update++) {
    seen.forEach((used, place) =>
      sums.add(place, () => used.forEach((p) => sum(multiply(p, gpu.tensor([place + 1], [1]))).backward())),
    );
    sums.finish();
    assert.equal([...(await a.grad!.read()), ...(await b.grad!.read())], [1 + 2 + 4, 2 + 3 + 4]);
  }
  sums.dispose();
  [a, b].forEach((p) => p.dispose());
});

test.run();
