/** Every case of the goldens from PyTorch in ONNX Runtime, and every operation has a form in ONNX or a reason why it has none. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trace } from '../../src/engine/trace.ts';
import type { Tensor } from '../../src/index.ts';
import { isKnown } from '../../src/onnx/operations.ts';
import { userError } from '../data/fixtures.ts';
import { cases, operations, tensors } from '../engine/pytorchCases.ts';
import { SAMPLES } from '../engine/samples.ts';
import { sharedGpu } from '../harness.ts';
import { expectSameValues } from './sameValues.ts';

const LOSS = /^the operation \w+ is a loss: export the network without it$/;

/** The cases that are refused, by their operation or their name. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  softmaxLogLoss: LOSS,
  classWeightedLogLoss: LOSS,
  sigmoidLogLoss: LOSS,
  smoothL1Loss: LOSS,
  'averagePool2d 3/2 p1 ceil': /^the operation averagePool2d has no exact form in ONNX where it rounds up/,
  'averagePool2d 2/3 p1 ceil': /^the operation averagePool2d has no exact form in ONNX where it rounds up/,
  'batchNorm of maps': /^the operation batchNorm by the statistics of a batch is for training/,
  'batchNorm of rows': /^the operation batchNorm by the statistics of a batch is for training/,
};

for (const { name, op, inputs, options } of cases) {
  test(name, async () => {
    const network = (given: Record<string, Tensor>) => ({ y: operations[op]!(given, options) });
    const given = Object.fromEntries(
      inputs.map((input) => {
        const { shape, data } = tensors[`${name}/in/${input}`]!;
        return [input, { shape, values: data }];
      }),
    );
    const exported = expectSameValues(name, network, given, {}, { tolerance: 1e-5 });
    const refusal = REFUSED[op] ?? REFUSED[name];
    if (refusal) assert.match(await userError(exported), refusal);
    else await exported;
  });
}

test('every operation of the package has a form in ONNX, or a reason why it has none', async () => {
  const gpu = await sharedGpu();
  const unknown = Object.entries(SAMPLES).flatMap(([name, sample]) => {
    const { results, operations } = trace(gpu, () => {
      const results = sample(gpu).map((result) => ('backward' in result ? result : result.count));
      return Object.fromEntries(results.entries());
    });
    const last = new Map(operations.map(({ operation, output }) => [output, operation]));
    return Object.values(results).flatMap((result) => {
      const operation = last.get(result);
      return operation && isKnown(operation as never) ? [] : [`${name}: ${operation?.name ?? 'not traced'}`];
    });
  });
  assert.equal(unknown, []);
});

test.run();
