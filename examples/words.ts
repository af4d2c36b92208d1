/**
 * Word embeddings by skip-gram with negative sampling (Mikolov et al. 2013): words that occur in the same places get similar vectors.
 *
 *   npx tsx examples/words.ts [STEPS]
 */
import { Adam, binaryCrossEntropyWithLogits, Embedding, multiply, openGpu, sum } from '../src/node.ts';

const KINDS = {
  animal: ['cat', 'dog', 'horse', 'mouse', 'bird', 'fox'],
  food: ['bread', 'cheese', 'apples', 'soup', 'rice', 'honey'],
  place: ['forest', 'garden', 'city', 'house', 'river', 'field'],
  mood: ['quietly', 'happily', 'slowly', 'eagerly', 'sadly', 'often'],
};
type Kind = keyof typeof KINDS;
const TEMPLATES = [
  'the animal eats food in the place mood',
  'in the place a animal looks for food',
  'mood the animal runs to the place',
  'a animal and a animal share food mood',
  'there is food and food in the place',
  'the animal sleeps mood near the place',
];
const steps = Number(process.argv[2] ?? 600);
const gpu = await openGpu();
console.log(gpu.adapter.description);

let state = 1;
/** A number below n, the same sequence in every run (Lehmer's generator). */
const draw = (n: number): number => (state = (state * 48271) % 2147483647) % n;
const isKind = (word: string): word is Kind => word in KINDS;
const sentences = Array.from({ length: 3000 }, () =>
  TEMPLATES[draw(TEMPLATES.length)]!.split(' ').map((word) => (isKind(word) ? KINDS[word][draw(6)]! : word)),
);
const words = [...new Set(sentences.flat())].sort();
const place = new Map(words.map((word, i) => [word, i]));

/** Every word beside the words up to two places away. */
const pairs = sentences.flatMap((sentence) =>
  sentence.flatMap((word, i) =>
    [-2, -1, 1, 2].flatMap((step) => {
      const other = sentence[i + step];
      return other === undefined ? [] : [[place.get(word)!, place.get(other)!] as const];
    }),
  ),
);
console.log(`${pairs.length} pairs of ${words.length} words`);

const [BATCH, NEGATIVES, WIDTH] = [256, 4, 16];
const [centres, contexts] = [
  new Embedding(gpu, words.length, WIDTH, { std: 0.1 }),
  new Embedding(gpu, words.length, WIDTH, { std: 0.1 }),
];
const adam = new Adam([...centres.parameters(), ...contexts.parameters()], { learningRate: 0.02 });
for (let step = 1; step <= steps; step++) {
  adam.zeroGrad();
  const loss = gpu.scope(() => {
    const examples = Array.from({ length: BATCH }, () => pairs[draw(pairs.length)]!).flatMap(([word, beside]) => [
      { word, other: beside, near: 1 },
      ...Array.from({ length: NEGATIVES }, () => ({ word, other: pairs[draw(pairs.length)]![1], near: 0 })),
    ]);
    const n = examples.length;
    const a = centres.forward(
      gpu.tensor(
        Int32Array.from(examples, ({ word }) => word),
        [n],
      ),
    );
    const b = contexts.forward(
      gpu.tensor(
        Int32Array.from(examples, ({ other }) => other),
        [n],
      ),
    );
    const near = gpu.tensor(
      Float32Array.from(examples, (example) => example.near),
      [n],
    );
    const loss = binaryCrossEntropyWithLogits(sum(multiply(a, b), 1), near);
    loss.backward();
    return loss;
  });
  adam.step();
  if (step % 100 === 0 || step === steps) console.log(`step ${step}: loss ${(await loss.read())[0]!.toFixed(4)}`);
  loss.dispose();
}

const vectors = await centres.weight.read();
const vector = (word: string): number[] => {
  const own = [...vectors.subarray(place.get(word)! * WIDTH, (place.get(word)! + 1) * WIDTH)];
  const length = Math.hypot(...own);
  return own.map((x) => x / length);
};
const likeness = (a: string, b: string): number => vector(a).reduce((total, x, i) => total + x * vector(b)[i]!, 0);
const named = Object.values(KINDS).flat();
const nearest = (word: string): string =>
  named.filter((other) => other !== word).sort((a, b) => likeness(word, b) - likeness(word, a))[0]!;
const right = named.filter((word) =>
  Object.values(KINDS).some((kind) => kind.includes(word) && kind.includes(nearest(word))),
);
for (const kind of Object.values(KINDS)) console.log(`${kind[0]}: nearest is ${nearest(kind[0]!)}`);
console.log(`${right.length} of ${named.length} words are nearest to one of their kind`);
gpu.close();
