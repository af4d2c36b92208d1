/** `rcnn convert`: writes a data set in another format. */
import { type Command, Option } from 'commander';
import { assertNewFolder, convert } from '../data/convert.ts';
import { disjointSplits, WHOLE } from '../data/splitNames.ts';
import { FORMATS, openDataset, splitsOf } from '../data/registry.ts';
import { UserError } from '../engine/errors.ts';
import { withDataOptions } from './common.ts';
import { withExample } from './helpText.ts';
import { startProgress } from './progress.ts';
import { count, table } from './text.ts';

interface ConvertCommand {
  data: string;
  split?: string;
  splitSeed?: number;
  allowOutside?: boolean;
  skipBadBoxes?: boolean;
  to: string;
  out: string;
  link?: boolean;
}

const WRITTEN = [...FORMATS.values()].flatMap(({ name, writer }) => (writer ? [{ name, writer }] : []));

export function addConvert(program: Command): void {
  const described = program
    .command('convert')
    .description('Write a data set in another format: images unchanged, boxes and classes as that format stores them.');
  const command = withDataOptions(described, {
    required: true,
    split: { flags: '--split <name,...>', text: 'the splits to write; default: all of them' },
  })
    .addOption(new Option('--to <format>', 'the format').choices(WRITTEN.map(({ name }) => name)).makeOptionMandatory())
    .requiredOption('--out <dir>', 'a new or empty folder')
    .option('--link', 'link to the images instead of copying them')
    .option('--skip-bad-boxes', 'leave out boxes outside their image or without area, instead of stopping')
    .action(run);
  withExample(command, 'rcnn convert --data my-data --to yolo --out my-data-yolo');
}

async function run({ data, split, to, out, skipBadBoxes, link, ...options }: ConvertCommand): Promise<void> {
  assertNewFolder(out);
  const { writer } = WRITTEN.find(({ name }) => name === to)!;
  const names = split?.split(',') ?? disjointSplits(splitsOf(data));
  const splits = [];
  let classes: string[] | undefined;
  for (const name of names) {
    const dataset = await openDataset(data, {
      split: name,
      onBadBox: skipBadBoxes ? 'skip' : 'error',
      ...(classes && { classes }),
      ...options,
    });
    classes = dataset.classes.slice(1);
    splits.push({ split: name === WHOLE ? undefined : name, dataset });
  }
  if (splits.length > 1 && splits.some((one) => one.split === undefined)) {
    throw new UserError(`--split ${split}: '${WHOLE}' has the images of the other splits too; name either`);
  }
  for (const note of new Set(splits.flatMap(({ dataset }) => dataset.notes))) console.log(`note: ${note}`);
  const images = splits.reduce((sum, { dataset }) => sum + dataset.samples.length, 0);
  const progress = startProgress(images, 'image');
  let written = 0;
  try {
    const lost = await convert(splits, writer, out, { link, onImage: () => progress.update(++written) });
    progress.stop();
    console.log(
      table([
        ['split', 'images', 'objects'],
        ...splits.map(({ split, dataset: { samples } }) => [
          split ?? WHOLE,
          count(samples.length),
          count(samples.reduce((sum, { boxes }) => sum + boxes.length, 0)),
        ]),
      ]),
    );
    for (const line of lost) console.log(`lost: ${line}`);
    console.log(`${to} in ${out}: boxes and classes; outlines, poses and other attributes are not carried over`);
  } finally {
    progress.stop();
  }
}
