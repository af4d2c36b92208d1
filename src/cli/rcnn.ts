#!/usr/bin/env node
/**
 * The command `rcnn`. Exit codes: 0 success, 1 an error that the user can fix (one line on stderr), 2 a bug in this
 * program (with its stack trace), 130 stopped by a signal after saving. A closed output pipe stops nothing.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { UserError } from '../engine/errors.ts';
import { addBench } from './bench.ts';
import { addCheck } from './check.ts';
import { addConvert } from './convert.ts';
import { addDemo } from './demo.ts';
import { addDetect } from './detect.ts';
import { addEval } from './eval.ts';
import { addInfo } from './info.ts';
import { addPretrain } from './pretrain.ts';
import { addRecall } from './recall.ts';
import { preparePrinting } from './output.ts';
import { addTrain } from './train.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('rcnn')
  .description('Faster R-CNN on WebGPU: train an object detector, evaluate it, find objects in images.')
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: () => {} }) // printed below, with the command's name
  .showSuggestionAfterError()
  .addHelpText(
    'after',
    '\nStart with `rcnn demo`: it trains a detector of handwritten digits and draws what it finds.',
  );
for (const add of [
  addDemo,
  addInfo,
  addCheck,
  addConvert,
  addPretrain,
  addTrain,
  addEval,
  addRecall,
  addDetect,
  addBench,
])
  add(program);

preparePrinting();

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  const [first] = process.argv.slice(2);
  const name = program.commands.some((command) => command.name() === first) ? `rcnn ${first}` : 'rcnn';
  if (error instanceof CommanderError) {
    if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode; // --help or --version, already printed
    console.error(`${name}: ${oneLine(error.message.replace(/^error: /, ''))}; see ${name} --help`);
    return 1;
  }
  if (error instanceof UserError) {
    console.error(`${name}: ${oneLine(error.message)}`);
    return 1;
  }
  console.error(`${name}: a bug in this program, not in its input:`);
  console.error(error);
  return 2;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
