/** ONNX files as weights: what PyTorch's exporter and onnx write is read (scripts/goldens/onnx_files.py). */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { isOnnx, parseOnnx } from '../../src/engine/onnxFile.ts';
import { isPytorch } from '../../src/engine/pytorchFile.ts';
import { serializeSafetensors } from '../../src/engine/safetensors.ts';
import { parseWeights, parseWeightsHeader } from '../../src/engine/weightsFile.ts';
import { fitWeights } from '../../src/run/storage/weightNames.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/onnx-files.json', import.meta.url), 'utf8'));
const file = (name: string): Uint8Array => new Uint8Array(Buffer.from(golden.files[name], 'base64'));
const message = (bytes: Uint8Array): string => {
  try {
    parseWeights(bytes, 'x.onnx');
  } catch (error) {
    assert.instance(error, UserError, String((error as Error).stack));
    assert.not.match((error as Error).message, '\n');
    return (error as Error).message;
  }
  throw new Error('was read');
};

/** The network of the files, with a layer before the product that no file has. */
const network = {
  parameters: {
    'conv.weight': { shape: [2, 1, 3, 3] },
    'conv.bias': { shape: [2] },
    'between.weight': { shape: [4, 4] },
    'fc.weight': { shape: [3, 2] },
    'fc.bias': { shape: [3] },
  },
  publishedNames: {},
  classes: [],
  targetStds: [1, 1, 1, 1],
};
const { weight, bias, fc: product } = golden.expected as Record<string, number[]>;

test('a file of PyTorch’s exporter has the names of the state dict', () => {
  const { tensors, layers } = parseWeights(file('exported'), 'x.onnx');
  assert.equal(Object.keys(tensors), ['0.weight', '0.bias', '2.weight', '2.bias']);
  assert.equal(tensors['0.weight'], { shape: [2, 1, 3, 3], data: Float32Array.from(weight!) });
  assert.equal(layers, [
    { weight: '0.weight', bias: '0.bias', inputsFirst: false },
    { weight: '2.weight', bias: '2.bias', inputsFirst: false },
  ]);
  assert.equal(parseWeightsHeader(file('exported'), 'x.onnx').shapes['2.weight'], [3, 2]);
});

test('tensors that are equal are in the file once, and have both names', () => {
  const { tensors, layers } = parseWeights(file('shared'), 'x.onnx');
  assert.equal(Object.keys(tensors).sort(), ['0.bias', '0.weight', '1.bias', '1.weight']);
  assert.equal([tensors['0.bias'], tensors['1.bias']], Array(2).fill({ shape: [2], data: new Float32Array(2) }));
  assert.equal(
    layers!.map(({ bias }) => bias),
    ['0.bias', '1.bias'],
  );
});

for (const name of ['listed', 'gemm']) {
  test(`layers without known names are taken by their order, transposed where inputs come first: ${name}`, () => {
    const { taken, unused } = fitWeights(parseWeights(file(name), 'x.onnx'), {
      ...network,
      // Neither product has a bias.
      parameters: Object.fromEntries(Object.entries(network.parameters).filter(([key]) => key !== 'fc.bias')),
    });
    assert.equal([...taken.keys()], ['conv.weight', 'conv.bias', 'fc.weight']);
    assert.equal([...taken.get('conv.weight')!.data], weight);
    assert.equal([...taken.get('conv.bias')!.data], bias);
    assert.equal([...taken.get('fc.weight')!.data], product);
    assert.equal(unused, []);
  });
}

test('a layer that lacks the bias of the network ends the order, as does one that fits nothing', () => {
  assert.equal([...fitWeights(parseWeights(file('listed'), 'x'), network).taken.keys()], ['conv.weight', 'conv.bias']);
  const other = { ...network, parameters: { 'conv.weight': { shape: [2, 1, 5, 5] }, 'fc.weight': { shape: [3, 2] } } };
  assert.is(fitWeights(parseWeights(file('listed'), 'x'), other).taken.size, 0);
});

test('networks with batch normalisation are not filled by order, since exported graphs have it folded', () => {
  const parameters = { ...network.parameters, 'bn.running_mean': { shape: [2] } };
  assert.is(fitWeights(parseWeights(file('listed'), 'x'), { ...network, parameters }).taken.size, 0);
});

test('doubles and halves become floats', () => {
  const [doubles, halves] = ['doubles', 'halves'].map((name) => parseOnnx(file(name), 'x').tensors['193']!);
  assert.equal([...doubles!.data], weight);
  halves!.data.forEach((value, i) => assert.ok(Math.abs(value - weight![i]!) <= 2 ** -11 * Math.abs(weight![i]!)));
});

test('what has no weights in it is refused in one line', () => {
  assert.is(
    message(file('external')),
    'x.onnx: tensor 193 lies in another file; save the model with its weights inside (onnx.save_model)',
  );
  assert.is(message(file('no weights')), 'x.onnx: holds no weights; export the model with its parameters in the file');
});

test('it is known by its beginning, and nothing else is taken for it', () => {
  for (const name of Object.keys(golden.files)) assert.ok(isOnnx(file(name)) && !isPytorch(file(name)), name);
  // The eight bytes before the header of a safetensors file are its length; of 8 + 4096 x n the first is that of ONNX.
  for (let letters = 0; letters < 3000; letters++) {
    const bytes = serializeSafetensors({}, { note: 'a'.repeat(letters) });
    assert.not(isOnnx(bytes), `${letters}`);
  }
});

test('cut off or damaged anywhere: one line, never another error', () => {
  const bytes = file('exported');
  const property = fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
    const damaged = bytes.slice();
    damaged[at] = value;
    for (const tried of [bytes.subarray(0, at), damaged]) {
      try {
        parseWeights(tried, 'x.onnx');
      } catch (error) {
        assert.instance(error, UserError, String((error as Error).stack));
        assert.match((error as Error).message, /^x\.onnx: /);
      }
    }
  });
  fc.assert(property, { numRuns: 1000 });
  // Only between the fields of the model does nothing show that it is cut off: there the graph, with all weights, is whole.
  const whole = Array.from({ length: bytes.length }, (_, at) => at).filter((at) => {
    try {
      return parseWeights(bytes.subarray(0, at), 'x.onnx');
    } catch {
      return false;
    }
  });
  assert.equal(whole, [bytes.length - 4]);
});

test.run();
