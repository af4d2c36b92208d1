/** What stands below the options in a command's help, wrapped to the same width as the options. */
import type { Command, Help } from 'commander';

type Item = readonly [term: string, description: string];

/** Adds a heading with a list under it: the terms in one column, their descriptions in the next. */
export const withList = (command: Command, heading: string, items: () => readonly Item[]): Command =>
  withText(command, (helper) => {
    const terms = items();
    const width = Math.max(...terms.map(([term]) => term.length));
    return [heading, ...terms.map(([term, text]) => helper.formatItem(term, width, text, helper))];
  });

export const withParagraph = (command: Command, text: string): Command =>
  withText(command, (helper, width) => [helper.boxWrap(text, width)]);

/** Ends a command's help with examples to copy. */
export const withExample = (command: Command, ...lines: string[]): Command =>
  withText(command, (_, width) => ['Example:', ...lines.map((line) => wrapCommand(`  ${line}`, width))]);

function withText(command: Command, lines: (helper: Help, width: number) => readonly string[]): Command {
  return command.addHelpText('after', () => {
    const helper = command.createHelp();
    const helpWidth = command.configureOutput().getOutHelpWidth!();
    helper.prepareContext({ helpWidth });
    return `\n${lines(helper, helper.helpWidth!).join('\n')}`;
  });
}

/** A shell command in lines of at most `width` characters, as far as breaks before options can do that. */
function wrapCommand(command: string, width: number): string {
  const [first, ...options] = command.split(/ (?=--)/);
  const lines = [first!];
  for (const option of options) {
    const line = `${lines.at(-1)} ${option}`;
    if (line.length + ' \\'.length <= width) lines[lines.length - 1] = line;
    else lines.push(`      ${option}`);
  }
  return lines.join(' \\\n');
}
