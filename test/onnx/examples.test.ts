/** The networks of the examples, before they learn, give in ONNX Runtime what they give in the engine. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Embedding, gaussian, type Gpu, type Module, multiply, sum } from '../../src/index.ts';
import { expectSameValues } from './sameValues.ts';

const tolerance = 1e-4;

/** What a program has made when it begins to train: the values of these variables. */
async function beforeTraining<T>(example: string, ...names: string[]): Promise<T & { gpu: Gpu }> {
  const file = new URL(`../../examples/${example}.ts`, import.meta.url);
  const [network, training] = fs.readFileSync(file, 'utf8').split(/^const adam = /m);
  assert.ok(training, `${example} has no optimiser`);
  const program = network!.replace(/'(\.\.?\/[^']+)'/g, (_, target: string) => `'${new URL(target, file).href}'`);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-example-'));
  try {
    const copy = path.join(folder, `${example}.mts`);
    fs.writeFileSync(copy, `${program}\nexport { gpu, ${names.join(', ')} };\n`);
    return (await import(pathToFileURL(copy).href)) as T & { gpu: Gpu };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const tokens = (count: number, below: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => (7 * i * i + 3 * i) % below);

test('the U-Net, for any number of pictures', async () => {
  const { gpu, network } = await beforeTraining<{ network: Module }>('unet', 'network');
  const picture = [1, 32, 32];
  // Statistics that are not those of new layers.
  const batch = gpu.tensor(gaussian(1, 1)([4, ...picture]), [4, ...picture]);
  for (let step = 0; step < 3; step++) gpu.scope(() => void gpu.withoutGradients(() => network.forward(batch)));
  network.train(false);
  const given = { pictures: { shape: [3, ...picture], values: gaussian(1, 2)([3, ...picture]) } };
  const forward = ({ pictures }: Record<string, Parameters<Module['forward']>[0]>) => ({
    logits: network.forward(pictures!),
  });
  await expectSameValues('unet', forward, given, { pictures: [1, ...picture] }, { gpu, tolerance });
  gpu.close();
});

test('the transformer, for any number of texts', async () => {
  const { gpu, network } = await beforeTraining<{ network: Module }>('addition', 'network');
  const given = { text: { shape: [5, 8], values: tokens(40, 12) } };
  const forward = ({ text }: Record<string, Parameters<Module['forward']>[0]>) => ({ logits: network.forward(text!) });
  await expectSameValues('addition', forward, given, { text: [2, 8] }, { gpu, tolerance });
  gpu.close();
});

test('the word embeddings, for any number of pairs', async () => {
  type Tables = Record<'centres' | 'contexts', Embedding>;
  const { gpu, centres, contexts } = await beforeTraining<Tables>('words', 'centres', 'contexts');
  const given = {
    word: { shape: [9], values: tokens(9, 20) },
    other: { shape: [9], values: tokens(9, 17) },
  };
  await expectSameValues(
    'words',
    ({ word, other }) => ({ logits: sum(multiply(centres.forward(word!), contexts.forward(other!)), 1) }),
    given,
    { word: [2], other: [2] },
    { gpu, tolerance },
  );
  gpu.close();
});

test.run();
