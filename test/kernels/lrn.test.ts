import { test } from 'uvu';
import { readFileSync } from 'node:fs';
import { lrnBackwardCheck, lrnForwardCheck } from '../../src/kernels/checks/spatial.ts';
import { lrnBackwardReference, lrnForward, lrnReference, type LrnSettings } from '../../src/kernels/lrn.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { runCheck, testChecks } from './runCheck.ts';

const within = { size: 3, alpha: 5e-2, beta: 0.75, k: 1, mode: 'within' } satisfies LrnSettings;
const across = { size: 5, alpha: 5e-2, beta: 0.75, k: 2, mode: 'across' } satisfies LrnSettings;
const SETTINGS: LrnSettings[] = [
  within,
  across,
  { ...within, size: 5, k: 1.5 },
  { ...across, size: 3 },
  { ...within, size: 1 },
];
const SHAPES = [
  { images: 1, channels: 1, h: 1, w: 1 },
  { images: 2, channels: 7, h: 11, w: 5 },
  { images: 1, channels: 96, h: 4, w: 13 },
];
for (const shape of SHAPES)
  testChecks(SETTINGS.flatMap((settings) => [lrnForwardCheck(shape, settings), lrnBackwardCheck(shape, settings)]));

test('one element more than 65535 workgroups of 64 hold', () =>
  runCheck(lrnForwardCheck({ images: 1, channels: 1, h: 1, w: 65535 * 64 + 1 }, within)));

/** The golden file's input, i -> ((i*29+7) % 83)*3 - 100 over (6, 4, 5), through the kernel. */
async function onGolden(settings: LrnSettings): Promise<number[]> {
  const shape = { images: 1, channels: 6, h: 4, w: 5 };
  const x = Float32Array.from({ length: 120 }, (_, i) => ((i * 29 + 7) % 83) * 3 - 100);
  const { size, alpha, beta, k, mode } = settings;
  const buffers = { x, y: new Float32Array(120), scale: new Float32Array(120) };
  const { y } = await launch(await sharedGpu(), lrnForward(mode), buffers, { ...shape, size, alpha, beta, k });
  return [...y];
}
const golden = JSON.parse(readFileSync(new URL('../golden/nn_ops.json', import.meta.url), 'utf8')).lrn;
const TOLERANCE = { atol: 1e-5, rtol: 2e-5 };

test("Caffe's normalisation within channels", async () => {
  const zf = await onGolden({ size: 3, alpha: 5e-5, beta: 0.75, k: 1, mode: 'within' });
  expectClose(zf.slice(0, 20), golden.within_3_5em5_075.flat(), { ...TOLERANCE, what: 'alpha 5e-5' });
  const strong = await onGolden({ size: 3, alpha: 1e-2, beta: 0.75, k: 1, mode: 'within' });
  expectClose(strong.slice(0, 40), golden.within_big_alpha_3_1em2_075.flat(2), { ...TOLERANCE, what: 'alpha 1e-2' });
});

test("Caffe's normalisation across channels", async () => {
  const y = await onGolden({ size: 5, alpha: 5e-4, beta: 0.75, k: 2, mode: 'across' });
  // the file holds the upper left 2 x 2 corner of every channel
  const corners = [0, 1, 2, 3, 4, 5].flatMap((c) => [0, 1, 5, 6].map((cell) => y[c * 20 + cell]!));
  expectClose(corners, golden.across_5_5em4_075_k2.flat(2), { ...TOLERANCE, what: 'across' });
});

for (const settings of [within, across])
  test(`gradient of normalisation ${settings.mode} against central differences`, () => {
    const shape = { images: 2, channels: 6, h: 3, w: 4 };
    const x = Float64Array.from(randomArray(144, 1, 5));
    const dy = Float64Array.from(randomArray(144, 2));
    expectGradient(
      lrnBackwardReference(x, dy, shape, settings),
      (moved) => weighted(lrnReference(moved, shape, settings).y, dy),
      x,
    );
  });

test.run();
