/** The help of every command fits a terminal, and options of other programs are answered with their names here. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { newProgram } from '../../src/cli/program.ts';
import { nameHere, OTHER_NAMES } from '../../src/cli/otherNames.ts';
import { shellCommand } from '../../src/run/storage/shellCommand.ts';

const WIDTH = 80;

function helps(): Map<string, string> {
  const program = newProgram();
  return new Map(
    [program, ...program.commands].map((command) => {
      let text = '';
      command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => WIDTH });
      command.outputHelp();
      return [command.name(), text];
    }),
  );
}

test('no line of a help is longer than a terminal is wide', () => {
  for (const [name, text] of helps())
    for (const line of text.split('\n'))
      assert.ok(line.length <= WIDTH, `rcnn ${name} --help, ${line.length} characters: ${line}`);
});

test('a help shows no empty default, and the data before what refines them', () => {
  for (const [name, text] of helps()) {
    assert.ok(!/\(default: (\[\]|"")\)/.test(text), name);
    if (!text.includes('--split-seed')) continue;
    const [data, split] = ['--data <spec>', '--split-seed <n>'].map((option) => text.indexOf(`  ${option} `));
    assert.ok(data! > 0 && data! < split!, name);
  }
});

test('a long example goes on in the next line, as a shell reads it', () => {
  const text = helps().get('eval')!;
  const examples = text.slice(text.indexOf('Example:\n')).split('\n').slice(1);
  const joined = examples
    .join('\n')
    .replace(/ \\\n +/g, ' ')
    .trimEnd()
    .split('\n');
  for (const example of joined) assert.match(example, /^ {2}rcnn eval --\S/);
  assert.ok(joined.length < examples.length - 1);
});

test('options of other programs have a name here', () => {
  const command = (name: string) => newProgram().commands.find((one) => one.name() === name)!;
  assert.is(nameHere(command('train'), '--epochs'), '--steps');
  assert.is(nameHere(command('train'), '--batch-size'), '--set training.imagesPerStep=N');
  assert.is(nameHere(command('train'), '--batch_size'), '--set training.imagesPerStep=N');
  assert.is(nameHere(command('pretrain'), '--batch-size'), '--batch');
  assert.is(nameHere(command('train'), '--weight-decay'), '--set training.weightDecay=VALUE');
  assert.is(nameHere(command('detect'), '--conf'), '--threshold');
  assert.is(nameHere(command('info'), '--epochs'), undefined);
  assert.is(nameHere(command('train'), '--sead'), undefined);
  const commands = newProgram().commands;
  for (const [names, here] of OTHER_NAMES)
    for (const usage of here)
      assert.ok(
        commands.some((one) => nameHere(one, names[0]!)?.startsWith(usage.split(' ')[0]!)),
        `no command has ${usage} for --${names[0]}`,
      );
});

test('a proposed command can be pasted into a shell', () => {
  assert.is(shellCommand('rcnn', 'train', '--out', 'runs/mine-1'), 'rcnn train --out runs/mine-1');
  assert.is(shellCommand('rcnn', '--out', "it's my run"), `rcnn --out 'it'\\''s my run'`);
  assert.is(
    shellCommand('rcnn', '--set', 'detector.anchors.sizes=[64,128]', ''),
    "rcnn --set 'detector.anchors.sizes=[64,128]' ''",
  );
});

test.run();
