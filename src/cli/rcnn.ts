#!/usr/bin/env node
/** The command `rcnn` as a process. A closed output pipe stops nothing. */
import { preparePrinting } from './output.ts';
import { runCommand } from './program.ts';

preparePrinting();
process.exitCode = await runCommand(process.argv.slice(2));
