/** Writes docs/settings.md, the table of all settings, from their schema: `npm run settings`. A test holds the file to it. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { runSchema } from '../src/run/config/configSchema.ts';

export const settingsPath = fileURLToPath(new URL('../docs/settings.md', import.meta.url));

/** The parts of JSON Schema that the settings use; `usual` is an addition of ours. */
interface Schema {
  type?: string | readonly string[];
  description?: string;
  usual?: unknown;
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  prefixItems?: readonly Schema[];
  minimum?: number;
  maximum?: number;
  maxItems?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
}

/** The whole document. */
export function settingsDocument(): string {
  const root = z.toJSONSchema(runSchema) as Schema;
  return `# Settings

Every value of a run's \`config.json\`. \`--set PATH=VALUE\` changes the values under \`detector\` and \`training\`; the others
follow from the options of \`rcnn train\`. The usual value is the one that presets start from. \`npm run settings\` writes this file
from the schema.

| setting | values | usual | meaning |
|---|---|---|---|
${rows(root, '').join('\n')}
`;
}

function rows({ properties = {}, required = [] }: Schema, prefix: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = prefix + name;
    const usual = schema.usual === undefined ? '' : `\`${JSON.stringify(schema.usual)}\``;
    const optional = required.includes(name) ? '' : ' (may be left out)';
    const values = schema.properties ? '' : valuesOf(schema);
    const row = `| \`${path}\` | ${values} | ${usual} | ${schema.description}${optional} |`;
    return [row, ...rows(schema, `${path}.`)];
  });
}

function valuesOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.anyOf) return schema.anyOf.map(valuesOf).join(' or ');
  if (schema.prefixItems) return `${schema.prefixItems.length} of: ${valuesOf(schema.prefixItems[0]!)}`;
  if (schema.items) {
    const most = schema.maxItems === undefined ? '' : `up to ${schema.maxItems}, each `;
    return `list of: ${most}${valuesOf(schema.items)}`;
  }
  if (typeof schema.additionalProperties === 'object') return `by name: ${valuesOf(schema.additionalProperties)}`;
  const names: Readonly<Record<string, string>> = {
    integer: 'whole number',
    string: 'text',
    boolean: '`true`, `false`',
    null: '`null`',
  };
  const types = [schema.type ?? 'anything'].flat();
  return types.map((type) => names[type] ?? type).join(' or ') + boundsOf(schema);
}

function boundsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): string {
  const bounds: string[] = [];
  // The bounds of safe integers, which every whole number has, say nothing about a setting.
  if (exclusiveMinimum !== undefined) bounds.push(`above ${exclusiveMinimum}`);
  if (minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER) bounds.push(`from ${minimum}`);
  if (exclusiveMaximum !== undefined) bounds.push(`below ${exclusiveMaximum}`);
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) bounds.push(`to ${maximum}`);
  return bounds.length > 0 ? ` ${bounds.join(', ')}` : '';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(settingsPath, settingsDocument());
