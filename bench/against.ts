/**
 * A joint training step of the digits preset, each one waited for, by this tree and by an earlier commit in turns: medians, and
 * how many times faster this tree is. Run it on a machine that does nothing else.
 *
 *   npx tsx bench/against.ts COMMIT [ROUNDS]
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fail, root, run } from '../scripts/shell.ts';

const [commit, count = '5'] = process.argv.slice(2);
if (!commit) fail('usage: npx tsx bench/against.ts COMMIT [ROUNDS]');
const earlier = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-against-')), commit);
process.on('exit', () => {
  spawnSync('git', ['worktree', 'remove', '--force', earlier], { cwd: root });
  fs.rmSync(path.dirname(earlier), { recursive: true, force: true });
});
run(root, 'git', 'worktree', 'add', '--detach', earlier, commit);
fs.symlinkSync(path.join(root, 'node_modules'), path.join(earlier, 'node_modules'), 'junction');
const ratios: number[] = [];
for (let round = 0; round < Number(count); round++) {
  const [before, now] = [earlier, root].map((tree) =>
    Number(run(root, 'npx', 'tsx', path.join(root, 'bench', 'againstStep.ts'), tree)),
  ) as [number, number];
  ratios.push(before / now);
  console.log(`${commit} ${before.toFixed(1)} ms, this tree ${now.toFixed(1)} ms: ${ratios.at(-1)!.toFixed(2)} times`);
}
const middle = ratios.sort((a, b) => a - b)[ratios.length >> 1]!;
console.log(`median of ${ratios.length}: ${middle.toFixed(2)} times as fast`);
