/** Writes docs/bench.schema.json, the form of `rcnn bench --json` as JSON Schema, from the schema in the code. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchJsonSchema } from '../src/bench/report.ts';
import { root } from './shell.ts';

writeFileSync(join(root, 'docs', 'bench.schema.json'), JSON.stringify(benchJsonSchema(), null, 2) + '\n');
