/**
 * A project of VIA 3, put as the JSON of VIA 2 would have it: `metadata` are regions, each `[shape, coordinates...]` in `xy` and
 * attributes by their numbers in `av`; they belong to a view, whose first file is the image. Shapes are numbered as in
 * `_via_metadata.js`. Segments of time and the regions of videos are left out.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { ReadContext } from '../annotated.ts';
import { firstIssue } from '../json.ts';
import { attempt } from '../problems.ts';
import { printable } from '../text.ts';

/** The beginning of such a file. */
export const beginsProject3 = (text: string): boolean =>
  /^\s*\{\s*"project"\s*:\s*\{/.test(text) && /"(vid_list|data_format_version)"/.test(text);

const id = z.union([z.string(), z.number()]).transform(String);
const table = z.record(z.string(), z.unknown());
const project = z.object({ attribute: table.nullish(), file: table, view: table, metadata: table.nullish() });
const attribute = z.object({ aname: z.string(), options: z.record(z.string(), z.unknown()).nullish() });
const file = z.object({ fname: z.string().nullish(), src: z.string().nullish(), type: z.number().nullish() });
const view = z.object({ fid_list: z.array(id).min(1) });
const metadata = z.object({ vid: id, xy: z.array(z.number()).nullish(), av: table.nullish() });

/** Of `_VIA_FILE_TYPE`. */
const IMAGE = 2;

/** Images by the number of their file, as in `_via_img_metadata` of VIA 2. */
export function asProject2(
  content: unknown,
  path: string,
  root: string,
  { onProblem, tally }: ReadContext,
): Record<string, { filename: string; regions: object[] }> {
  const parse = <T>(schema: z.ZodType<T>, value: unknown, what: string): T => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new UserError(`${path}: ${what}: ${firstIssue(parsed.error)}; fix or remove it`);
  };
  const parts = parse(project, content, 'project');
  const images: Record<string, { filename: string; regions: object[] }> = {};
  for (const [fid, value] of Object.entries(parts.file)) {
    attempt(onProblem, () => {
      const what = `file ${printable(fid)}`;
      const { fname, src, type } = parse(file, value, what);
      if (type != null && type !== IMAGE) return tally(`${root}: videos and sounds are left out`, `${path}: ${what}`);
      const filename = fname?.trim() || src?.trim();
      if (!filename) throw new UserError(`${path}: ${what}: has no name; fix or remove it`);
      images[fid] = { filename, regions: [] };
    });
  }
  for (const [mid, value] of Object.entries(parts.metadata ?? {})) {
    attempt(onProblem, () => {
      const what = `metadata ${printable(mid)}`;
      const { vid, xy, av } = parse(metadata, value, what);
      const [fid] = parse(view, parts.view[vid], `${what}: its view ${printable(vid)}`).fid_list;
      if (!Object.hasOwn(parts.file, fid!)) {
        throw new UserError(`${path}: ${what}: its file ${printable(fid!)} is not in the project; fix or remove it`);
      }
      if (!xy || xy.length === 0 || !Object.hasOwn(images, fid!)) return;
      const attributes = Object.entries(av ?? {}).map(([aid, chosen]) => {
        const { aname, options } = parse(attribute, parts.attribute?.[aid], `${what}: its attribute ${printable(aid)}`);
        return [aname, valueOf(chosen, options ?? {})] as const;
      });
      images[fid!]!.regions.push({ shape_attributes: shapeOf(xy), region_attributes: Object.fromEntries(attributes) });
    });
  }
  return images;
}

/** The text of an attribute: what was written, or the name of the option that was chosen; of several, each as checked. */
function valueOf(chosen: unknown, options: Record<string, unknown>): unknown {
  const text = String(chosen ?? '');
  const nameOf = (one: string): string => (Object.hasOwn(options, one) ? String(options[one]) : one);
  const several = text.split(',').filter((one) => Object.hasOwn(options, one));
  return several.length > 1 ? Object.fromEntries(several.map((one) => [nameOf(one), true])) : nameOf(text);
}

/** In VIA 2's terms; a shape that has none keeps its number as its name. */
function shapeOf([shape, ...values]: number[]): Record<string, unknown> {
  const [a, b, c, d] = values;
  if (shape === 2) return { name: 'rect', x: a, y: b, width: c, height: d };
  if (shape === 3) return { name: 'circle', cx: a, cy: b, r: c };
  if (shape === 4) return { name: 'ellipse', cx: a, cy: b, rx: c, ry: d };
  if (shape === 7 || shape === 8) {
    const every = (first: number): number[] => values.filter((_, i) => i % 2 === first);
    return { name: 'polygon', all_points_x: every(0), all_points_y: every(1) };
  }
  return { name: { 1: 'point', 5: 'line', 6: 'polyline' }[shape!] ?? String(shape) };
}
