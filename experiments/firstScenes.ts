/** The first scenes of each split of the digits, as a format of data: proposals of other methods cost more than training on them. */
import { digits } from '../src/data/formats/digits.ts';
import { FORMATS, registerFormat } from '../src/data/registry.ts';

/** The data, as `--data` would name it. */
export function firstScenes(count: number): string {
  const name = `digits-first-${count}`;
  if (FORMATS.has(name)) return name;
  registerFormat({
    ...digits,
    name,
    usage: name,
    summary: `the first ${count} scenes of each split of the digits`,
    async open(sets, options) {
      const whole = await digits.open(sets, options);
      return { ...whole, samples: whole.samples.slice(0, count) };
    },
  });
  return name;
}
