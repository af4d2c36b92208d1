/** Every case of the goldens from PyTorch in ONNX Runtime, and every operation has a form in ONNX or a reason why it has none. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trace } from '../../src/engine/trace.ts';
import type { Tensor } from '../../src/index.ts';
import { isKnown } from '../../src/onnx/operations.ts';
import { userError } from '../data/fixtures.ts';
import { type Case, cases, operations, tensors } from '../engine/pytorchCases.ts';
import { SAMPLES } from '../engine/samples.ts';
import { sharedGpu } from '../harness.ts';
import { expectSameValues, type Given } from './sameValues.ts';

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

const given = ({ name, inputs }: Case): Record<string, Given> =>
  Object.fromEntries(
    inputs.map((input) => {
      const { shape, data } = tensors[`${name}/in/${input}`]!;
      return [`${name} ${input}`, { shape, values: data }];
    }),
  );

const network =
  (cases: readonly Case[]) =>
  (x: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(
      cases.map(({ name, op, inputs, options }) => {
        const own = inputs.map((input) => [input, x[`${name} ${input}`]!]);
        return [name, operations[op]!(Object.fromEntries(own) as Record<string, Tensor>, options)];
      }),
    );

const refusalOf = ({ op, name }: Case): RegExp | undefined => REFUSED[op] ?? REFUSED[name];

for (const op of Object.keys(operations)) {
  const own = cases.filter((one) => one.op === op);
  const accepted = own.filter((one) => !refusalOf(one));
  test(op, async () => {
    const all = Object.assign({}, ...accepted.map(given)) as Record<string, Given>;
    if (accepted.length > 0)
      await expectSameValues(op, network(accepted), all, {}, { tolerance: 1e-5, ofLargest: true });
    for (const one of own.filter(refusalOf))
      assert.match(await userError(expectSameValues(one.name, network([one]), given(one))), refusalOf(one)!);
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
