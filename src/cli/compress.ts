/** `rcnn compress`: a run whose region layers are reduced to their largest singular values. */
import { type Command, InvalidArgumentError } from 'commander';
import { compressRun, type RankChoice } from '../run/storage/compressRun.ts';
import type { WeightsName } from '../run/storage/loadModel.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { asOnlyWriter } from '../run/storage/runLock.ts';
import { type AdapterKind, adapterOption, positiveInteger, weightsOption, withGpu } from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { count, percent } from './text.ts';

interface CompressCommand {
  model: string;
  out: string;
  weights: WeightsName;
  fc6: RankChoice;
  fc7: RankChoice;
  adapter: AdapterKind;
}

export function addCompress(program: Command): void {
  const command = program
    .command('compress')
    .description(
      'Reduce the region layers fc6 and fc7 of a run to their largest singular values: fewer multiplications for each region.',
    )
    .requiredOption('--model <dir>', 'a run directory')
    .requiredOption('--out <dir>', 'the run directory to make, which detects and is evaluated like any other')
    .option('--fc6 <n>', "singular values of fc6 to keep, or 'whole'; default: a quarter of its outputs", rank)
    .option('--fc7 <n>', "singular values of fc7 to keep, or 'whole'; default: a sixteenth of its outputs", rank)
    .addOption(weightsOption())
    .addOption(adapterOption())
    .action(compress);
  withExample(command, 'rcnn compress --model runs/mine --out runs/mine-small --fc6 1024 --fc7 256');
}

async function compress({ model, out, weights, fc6, fc7, adapter }: CompressCommand): Promise<void> {
  const directory = new RunDirectory(out);
  assertOutputs(directory.files, { model });
  await asOnlyWriter(out, async () => {
    directory.assertFree();
    await withGpu(adapter, async (gpu) => {
      const layers = await compressRun({
        gpu,
        model,
        out: directory,
        weights,
        ranks: { fc6, fc7 },
        onLayer: ({ layer, outputs, inputs, rank }) =>
          console.log(`${layer}: the ${count(rank)} largest singular values of ${count(outputs)} x ${count(inputs)}`),
      });
      for (const { layer, rank, outputs, inputs, kept } of layers) {
        const [before, after] = [outputs * inputs, rank * (outputs + inputs)];
        console.log(
          `${layer}: keeps ${percent(kept)} of the sum of squares; ${count(before)} weights become ${count(after)}`,
        );
      }
      const least = layers.reduce((low, layer) => (layer.kept < low.kept ? layer : low));
      if (least.kept < ENOUGH) {
        console.log(
          `note: ${least.layer} keeps little; compare 'rcnn eval' of both runs, and choose a larger --${least.layer} if it lost too much`,
        );
      }
      console.log(`run       ${directory.path}`);
    });
  });
}

/** Share of a layer's squares. A detector of blood cells whose fc7 kept 0.63 lost a twelfth of its mAP, with 0.21 most of it. */
const ENOUGH = 0.6;

/** A number of singular values, or 'whole'. */
function rank(text: string): RankChoice {
  if (text === 'whole') return text;
  try {
    return positiveInteger(text);
  } catch {
    throw new InvalidArgumentError("It must be a whole number above 0, or 'whole'.");
  }
}
