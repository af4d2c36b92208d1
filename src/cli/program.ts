/** The command `rcnn` with all its commands, as a function: from arguments to an exit code. */
import { Command, CommanderError } from 'commander';
import { UserError } from '../engine/errors.ts';
import { addBench } from './bench.ts';
import { addCheck } from './check.ts';
import { addCompare } from './compare.ts';
import { addCompress } from './compress.ts';
import { addConvert } from './convert.ts';
import { addDemo } from './demo.ts';
import { addDetect } from './detect.ts';
import { addEval } from './eval.ts';
import { addExport } from './export.ts';
import { addInfo } from './info.ts';
import { addMultiBox } from './multibox.ts';
import { withParagraph } from './helpText.ts';
import { nameHere } from './otherNames.ts';
import { oneLine } from './output.ts';
import { addPretrain } from './pretrain.ts';
import { addProposals } from './proposals.ts';
import { addRecall } from './recall.ts';
import { addTrain } from './train.ts';
import { VERSION } from './version.ts';

/**
 * Runs a command, prints what it has to say, and returns the exit code: 0 success, 1 an error that the user can fix (one line
 * on stderr), 2 a bug in this program (with its stack trace), 130 stopped by a signal after saving.
 */
export async function runCommand(args: readonly string[]): Promise<number> {
  const program = newProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(program, args, error);
  }
}

export function newProgram(): Command {
  const program = new Command('rcnn')
    .description('Faster R-CNN on WebGPU: train an object detector, evaluate it, find objects in images.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // printed by `report`, with the command's name
    .showSuggestionAfterError();
  withParagraph(program, "Start with 'rcnn demo': it trains a detector of handwritten digits and draws what it finds.");
  program.hook('preAction', (_, command) => refuseEmpty(command));
  for (const add of [
    addDemo,
    addInfo,
    addCheck,
    addConvert,
    addPretrain,
    addTrain,
    addCompress,
    addEval,
    addCompare,
    addMultiBox,
    addProposals,
    addRecall,
    addDetect,
    addExport,
    addBench,
  ])
    add(program);
  return program;
}

function report(program: Command, [first]: readonly string[], error: unknown): number {
  const command = program.commands.find((command) => command.name() === first);
  const name = command ? `rcnn ${first}` : 'rcnn';
  if (error instanceof CommanderError) {
    if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode; // --help or --version, already printed
    console.error(`${name}: ${oneLine(usageError(error, command))}; see ${name} --help`);
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

/** What commander says, or for an option of another program its name here. */
function usageError({ code, message }: CommanderError, command: Command | undefined): string {
  const option = code === 'commander.unknownOption' ? /'([^']*)'/.exec(message)?.[1] : undefined;
  const here = option !== undefined && command && nameHere(command, option);
  return here ? `unknown option '${option}'; here it is ${here}` : message.replace(/^error: /, '');
}

/** An empty name would stand for the current folder, as it does in a script whose variable is not set. */
function refuseEmpty(command: Command): void {
  const option = command.options.find((option) => {
    const name = option.attributeName();
    return command.getOptionValueSource(name) === 'cli' && command.getOptionValue(name) === '';
  });
  if (option) throw new UserError(`${option.long}: is empty; give it a value, or leave it out`);
  if (command.args.includes('')) throw new UserError('an argument is empty; check the command');
}
