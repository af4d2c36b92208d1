/** `rcnn compare`: runs side by side. */
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import { replaceFile } from '../engine/node/writeFile.ts';
import { compareRuns, evaluationOf } from '../run/reports/compareRuns.ts';
import { comparisonPage } from '../run/reports/comparisonPage.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { table } from './text.ts';

export function addCompare(program: Command): void {
  const command = program
    .command('compare')
    .argument('<run...>', 'run directories, at least two')
    .description(
      "Show runs side by side: settings that differ, losses, validation, and the AP by class, sizes and speed that 'rcnn eval --report RUN/report' measured.",
    )
    .option('--report <file>', 'also write an HTML page with the tables and the curves')
    .action(compare);
  withExample(command, 'rcnn compare runs/mine runs/other --report compared.html');
}

function compare(runs: readonly string[], { report }: { report?: string }): void {
  if (runs.length < 2) throw new UserError(`${runs[0]}: is a single run; name another to compare it with`);
  assertOutputs([report], { files: runs.flatMap((run) => [...new RunDirectory(run).files, evaluationOf(run)]) });
  const comparison = compareRuns(runs);
  for (const { title, rows } of comparison.tables) console.log(`${table([[title, ...runs], ...rows])}\n`);
  if (report === undefined) return;
  replaceFile(report, comparisonPage(comparison));
  console.log(`report    ${report}`);
}
