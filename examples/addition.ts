/**
 * A transformer (Vaswani et al. 2017) that learns to add: it reads 37+85= and writes 221, the sum from its last digit on.
 *
 *   npx tsx examples/addition.ts [STEPS]
 */
import { Adam, add, Embedding, gelu, type Gpu, LayerNorm, Linear, Module, openGpu } from '../src/node.ts';
import { permute, reshape, scaledDotProductAttention, slice, softmaxLogLoss, type Tensor } from '../src/node.ts';

const SYMBOLS = '0123456789+=';
const LENGTH = '37+85=221'.length;
const [WIDTH, HEADS, LAYERS] = [64, 4, 2];
const steps = Number(process.argv[2] ?? 600);
const gpu = await openGpu();
console.log(gpu.adapter.description);

/** One layer: attention to earlier places, then a network for each place, both added to their input. */
class Block extends Module {
  private readonly norm1 = this.add('norm1', new LayerNorm(gpu, WIDTH));
  private readonly qkv = this.add('qkv', new Linear(gpu, WIDTH, 3 * WIDTH));
  private readonly out = this.add('out', new Linear(gpu, WIDTH, WIDTH));
  private readonly norm2 = this.add('norm2', new LayerNorm(gpu, WIDTH));
  private readonly wide = this.add('wide', new Linear(gpu, WIDTH, 4 * WIDTH));
  private readonly narrow = this.add('narrow', new Linear(gpu, 4 * WIDTH, WIDTH));

  forward(x: Tensor): Tensor {
    const [n, length] = x.shape as [number, number, number];
    const joint = permute(reshape(this.qkv.forward(this.norm1.forward(x)), [n, length, 3, HEADS, -1]), [2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => reshape(slice(joint, 0, i, i + 1), [n, HEADS, length, -1])) as Tensor[];
    const heads = permute(scaledDotProductAttention(q!, k!, v!, { causal: true }), [0, 2, 1, 3]);
    const seen = add(x, this.out.forward(reshape(heads, [n, length, WIDTH])));
    return add(seen, this.narrow.forward(gelu(this.wide.forward(this.norm2.forward(seen)))));
  }
}

class Transformer extends Module {
  private readonly symbols: Embedding;
  private readonly places: Embedding;
  private readonly blocks: readonly Block[];
  private readonly norm: LayerNorm;
  private readonly head: Linear;

  constructor(gpu: Gpu) {
    super();
    this.symbols = this.add('symbols', new Embedding(gpu, SYMBOLS.length, WIDTH, { std: 0.5 }));
    this.places = this.add('places', new Embedding(gpu, LENGTH - 1, WIDTH, { std: 0.5 }));
    this.blocks = Array.from({ length: LAYERS }, (_, i) => this.add(`block${i}`, new Block()));
    this.norm = this.add('norm', new LayerNorm(gpu, WIDTH));
    this.head = this.add('head', new Linear(gpu, WIDTH, SYMBOLS.length));
  }

  /** Symbols i32 [N, L] → logits of the next symbol, [N, L, symbols]. */
  forward(text: Tensor): Tensor {
    const places = gpu.tensor(
      Int32Array.from({ length: text.shape[1]! }, (_, i) => i),
      [text.shape[1]!],
    );
    const x = add(this.symbols.forward(text), this.places.forward(places));
    return this.head.forward(this.norm.forward(this.blocks.reduce((y, block) => block.forward(y), x)));
  }
}

/** Problem i of all 10 000, in an order that jumps about; the last 1000 are for testing. */
function problem(i: number, test: boolean): string {
  const pair = ((test ? 9000 + i : i) * 7919) % 10000;
  const [a, b] = [Math.floor(pair / 100), pair % 100];
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(a)}+${two(b)}=${String(a + b)
    .padStart(3, '0')
    .split('')
    .reverse()
    .join('')}`;
}
const coded = (texts: readonly string[]): number[] => texts.flatMap((text) => [...text].map((c) => SYMBOLS.indexOf(c)));

const network = new Transformer(gpu);
const adam = new Adam(network.parameters(), { learningRate: 0.003 });
const BATCH = 64;
let state = 1;
/** A number below n, the same sequence in every run (Lehmer's generator). */
const draw = (n: number): number => (state = (state * 48271) % 2147483647) % n;
for (let step = 1; step <= steps; step++) {
  adam.learningRate = 0.003 * Math.min(1, step / 50, (1.1 * steps - step) / (0.3 * steps));
  adam.zeroGrad();
  const loss = gpu.scope(() => {
    const texts = Array.from({ length: BATCH }, () => problem(draw(9000), false));
    const input = Int32Array.from(coded(texts.map((text) => text.slice(0, -1))));
    // Only the sum can be predicted: -1 stands for a symbol that is not asked for.
    const next = Int32Array.from(texts.flatMap((text) => coded([text.slice(1)]).map((c, i) => (i < 5 ? -1 : c))));
    const logits = network.forward(gpu.tensor(input, [BATCH, LENGTH - 1]));
    const loss = softmaxLogLoss(reshape(logits, [-1, SYMBOLS.length]), gpu.tensor(next, [next.length]));
    loss.backward();
    return loss;
  });
  adam.step();
  if (step % 100 === 0 || step === steps) console.log(`step ${step}: loss ${(await loss.read())[0]!.toFixed(4)}`);
  loss.dispose();
}

const asked = Array.from({ length: 200 }, (_, i) => problem(i, true));
let written = asked.map((text) => text.slice(0, 6));
for (let digit = 0; digit < 3; digit++) {
  const logits = await gpu.scope(() => {
    const text = gpu.tensor(Int32Array.from(coded(written)), [written.length, written[0]!.length]);
    return gpu.withoutGradients(() => network.forward(text)).read();
  });
  const length = written[0]!.length;
  written = written.map((text, n) => {
    const own = [...logits.subarray(((n + 1) * length - 1) * SYMBOLS.length, (n + 1) * length * SYMBOLS.length)];
    return text + SYMBOLS[own.indexOf(Math.max(...own))]!;
  });
}
const right = written.filter((text, i) => text === asked[i]).length;
console.log(`${written[1]} ${written[2]}; right: ${(right / 2).toFixed(1)} % of 200 sums that it never saw`);
gpu.close();
