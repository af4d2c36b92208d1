/**
 * A process that runs commands of `rcnn`, one after the other, each as though it were a process of its own: it is sent
 * `{ args }` and answers with the exit code and what was printed.
 */
import { preparePrinting } from '../../src/cli/output.ts';
import { runCommand } from '../../src/cli/program.ts';

/** What was printed since the command began. */
const printed = { stdout: '', stderr: '' };
for (const name of ['stdout', 'stderr'] as const) {
  process[name].write = ((text: string | Uint8Array) => {
    printed[name] += typeof text === 'string' ? text : Buffer.from(text).toString();
    return true;
  }) as typeof process.stdout.write;
}
preparePrinting();

process.on('message', async ({ args }: { args: string[] }) => {
  Object.assign(printed, { stdout: '', stderr: '' });
  process.exitCode = undefined;
  const code = await runCommand(args).catch((error: unknown) => {
    printed.stderr += String(error);
    return 2;
  });
  process.exitCode = undefined;
  process.send!({ code, ...printed });
});
