/**
 * Compares this tree with an earlier commit: both run the same rows of `rcnn bench` in turns, and the result is the median ratio
 * of each row's best times. Of the earlier tree only the command line is used. Run it on an otherwise idle machine.
 *
 *   npx tsx bench/against.ts COMMIT [ROUNDS] [FILTER]
 *
 * FILTER selects rows as `rcnn bench --filter` does; the default is 'small backbone 160x160', a detection and a training
 * step of the digits preset.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { compareReports } from '../src/bench/compareReports.ts';
import { readBenchReport } from '../src/bench/report.ts';
import { geometricMean, median } from '../src/bench/statistics.ts';
import { fail, root, run } from '../scripts/shell.ts';

const [commit, count = '3', filter = 'small backbone 160x160'] = process.argv.slice(2);
if (!commit || !(Number(count) >= 1)) fail('usage: npx tsx bench/against.ts COMMIT [ROUNDS] [FILTER]');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-against-'));
const earlier = path.join(folder, 'tree');
process.on('exit', () => {
  spawnSync('git', ['worktree', 'remove', '--force', earlier], { cwd: root });
  fs.rmSync(folder, { recursive: true, force: true });
});
run(root, 'git', 'worktree', 'add', '--detach', earlier, commit);
fs.symlinkSync(path.join(root, 'node_modules'), path.join(earlier, 'node_modules'), 'junction');

const ratios = new Map<string, number[]>();
for (let round = 1; round <= Number(count); round++) {
  const [before, now] = [earlier, root].map(measure) as [ReturnType<typeof measure>, ReturnType<typeof measure>];
  for (const { name, before_ms, after_ms, ratio } of compareReports(before, now, { tolerance: 1 }).rows) {
    ratios.set(name, [...(ratios.get(name) ?? []), ratio]);
    const times = `${commit} ${before_ms.toFixed(2)} ms, this tree ${after_ms.toFixed(2)} ms`;
    console.log(`round ${round}: ${name}: ${times}: ${ratio.toFixed(2)} times as fast`);
  }
}
const medians = [...ratios].map(([name, values]) => [name, median(values)] as const);
console.log(`\nmedians of ${count} rounds, times as fast as ${commit}`);
for (const [name, ratio] of medians) console.log(`  ${ratio.toFixed(2)}  ${name}`);
console.log(`  ${geometricMean(medians.map(([, ratio]) => ratio))!.toFixed(2)}  geometric mean`);

/** A tree's report on the rows. */
function measure(tree: string) {
  const file = path.join(folder, 'report.json');
  run(tree, 'npx', 'tsx', path.join('src', 'cli', 'rcnn.ts'), 'bench', '--filter', filter, '--json', file);
  return readBenchReport(file);
}
