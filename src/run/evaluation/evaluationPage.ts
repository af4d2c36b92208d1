/** The page of an evaluation: one HTML file that needs no other, in light and dark, on screen and on paper. */
import { classColour } from '../../draw/colours.ts';
import { escaped, lineChart, type Series } from '../../draw/svg.ts';
import { type Analysis, ERROR_KINDS, type ErrorKind, SIZES } from '../../eval/analysis.ts';
import { AREAS } from '../../eval/coco.ts';
import { htmlPage, number, table } from '../../draw/htmlPage.ts';
import type { ValidationLine } from '../storage/runDirectory.ts';

export interface Example {
  /** A data URI. */
  image: string;
  caption: string;
}

export interface EvaluationPage {
  title: string;
  /** What was evaluated, how and where: name and value. */
  facts: readonly (readonly [string, string])[];
  classes: readonly string[];
  analysis: Analysis;
  /** Examples of each kind of error, the worst first, and of what is right, the worst first as well. */
  examples: Readonly<Record<ErrorKind | 'correct', readonly Example[]>>;
  /** Sums of the losses by step. */
  losses: readonly { step: number; loss: number }[];
  validation: readonly ValidationLine[];
  /** Milliseconds of the parts of a detection; null without a network. */
  stages: Readonly<Record<string, number>> | null;
  /** Images, and objects by class, of the split. */
  data: { images: number; objects: readonly (readonly [string, number])[] };
}

const MEANINGS: Readonly<Record<ErrorKind | 'correct', string>> = {
  location: 'right class, wrong place (IoU 0.1 to 0.5)',
  class: 'right place, wrong class',
  duplicate: 'an object that was already found',
  background: 'no object there (IoU below 0.1)',
  both: 'wrong class and place, or too near an object that was already found',
  missed: 'objects that nothing was found on',
  correct: 'right ones, those with the lowest IoU first',
};

export function evaluationPage(page: EvaluationPage): string {
  const { title, facts, analysis } = page;
  const sections: readonly (readonly [string, string])[] = [
    ['Average precision', precision(page)],
    ['What is wrong', errors(page)],
    ['Confusion', confusion(page)],
    ['Sizes and scores', sizes(analysis)],
    ['Training', training(page)],
    ['Data and speed', dataAndSpeed(page)],
  ];
  return htmlPage(title, `<p class="figure">mAP <b>${number(analysis.mAP, 4)}</b></p>\n${table([], facts)}`, sections);
}

function precision({ analysis: { curves, mAP } }: EvaluationPage): string {
  const rows = curves.map(({ name, objects, ap }) => [name, String(objects), ap === null ? '' : number(ap, 4)]);
  const series = curves.flatMap(({ name, recall, precision }, i): Series[] =>
    recall.length === 0 || !Number.isFinite(recall[0])
      ? []
      : [{ name, colour: classColour(i + 1), points: recall.map((r, at) => [r, precision[at]!] as const) }],
  );
  return `<div class="columns">${table(['class', 'objects', 'AP'], [...rows, ['mean', '', number(mAP, 4)]])}
${lineChart('Precision and recall', series, { x: 'recall', y: 'precision', most: [1, 1] })}</div>
<p>Pascal VOC's rules: IoU above 0.5, area under the curve.</p>`;
}

function errors({ analysis, examples }: EvaluationPage): string {
  const rows = ERROR_KINDS.map((kind) => [
    kind,
    MEANINGS[kind],
    String(analysis.errors[kind].count),
    `+${number(analysis.errors[kind].gain, 4)}`,
  ]);
  const shown = (kind: ErrorKind | 'correct'): string =>
    examples[kind].length === 0
      ? ''
      : `<details${kind === 'correct' ? '' : ' open'}><summary>${kind}: ${MEANINGS[kind]}</summary><div class="examples">${examples[
          kind
        ]
          .map(
            ({ image, caption }) =>
              `<figure><img src="${escaped(image)}" alt="${escaped(caption)}"><figcaption>${escaped(caption)}</figcaption></figure>`,
          )
          .join('')}</div></details>`;
  return `${table(['kind', 'meaning', 'how often', 'mAP without it'], rows)}
<p>Kinds and costs as in TIDE (Bolya et al. 2020): how much higher the mAP would be if only this kind did not occur. Dashed: the
object's own box.</p>
${[...ERROR_KINDS, 'correct' as const].map(shown).join('\n')}`;
}

function confusion({ classes, analysis: { confusion: counts, threshold } }: EvaluationPage): string {
  const names = ['not found', ...classes.slice(1)];
  const most = Math.max(1, ...counts.flat());
  const order = [...classes.keys()].slice(1).concat(0);
  const cell = (truth: number, found: number): string => {
    const count = counts[truth]![found]!;
    const share = Math.round((100 * count) / most);
    const kind = truth === found ? 'right' : 'wrong';
    return `<td class="${kind}" style="--share:${count === 0 ? 0 : Math.max(8, share)}%">${truth + found === 0 ? '' : count}</td>`;
  };
  const rows = order
    .map((truth) => {
      const name = truth === 0 ? 'no object' : classes[truth]!;
      return `<tr><th scope="row">${escaped(name)}</th>${order.map((found) => cell(truth, found)).join('')}</tr>`;
    })
    .join('');
  return `<p>Rows: what is there. Columns: what was found with a score of ${threshold} or more, whatever its class.</p>
<div class="wide"><table class="confusion"><thead><tr><td></td>${order
    .map((found) => `<th scope="col">${escaped(names[found]!)}</th>`)
    .join('')}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

function sizes({ bySize, calibration }: Analysis): string {
  const side = (area: number): string => String(Math.sqrt(area));
  const rows = SIZES.map((size) => {
    const [least, most] = AREAS[size];
    const range = size === 'large' ? `${side(least)} and larger` : `${side(least)} to ${side(most)}`;
    const { objects, mAP } = bySize[size];
    return [size, `${range} pixels a side`, String(objects), number(mAP, 4)];
  });
  const filled = calibration.filter(({ detections }) => detections > 0);
  const series: Series[] = [
    { name: 'share that is right', colour: '#2f9bff', points: filled.map((bin) => [bin.meanScore, bin.correct]) },
    {
      name: 'scores that say how sure to be',
      colour: 'currentColor',
      dashed: true,
      points: [
        [0, 0],
        [1, 1],
      ],
    },
  ];
  return `<div class="columns">${table(['size', 'area as a square', 'objects', 'mAP'], rows)}
${lineChart('Calibration', series, { x: 'mean score', y: 'share that is right', most: [1, 1] })}</div>`;
}

function training({ losses, validation }: EvaluationPage): string {
  if (losses.length === 0) return '';
  const steps = losses.at(-1)!.step;
  const highest = Math.max(...losses.map(({ loss }) => loss), ...validation.map(({ loss }) => loss));
  const charts = [
    lineChart(
      'Loss',
      [
        { name: 'training', colour: '#2f9bff', points: losses.map(({ step, loss }) => [step, loss]) },
        ...(validation.length > 0
          ? [
              {
                name: 'validation',
                colour: '#ff9f0a',
                points: validation.map(({ step, loss }) => [step, loss] as const),
              },
            ]
          : []),
      ],
      { x: 'step', y: 'sum of the losses', most: [steps, highest] },
    ),
  ];
  if (validation.length > 0) {
    const points = validation.map(({ step, mAP }) => [step, mAP] as const);
    charts.push(
      lineChart('Validation', [{ name: 'mAP', colour: '#35c759', points }], { x: 'step', y: 'mAP', most: [steps, 1] }),
    );
  }
  return `<div class="columns">${charts.join('\n')}</div>`;
}

function dataAndSpeed({ data: { images, objects }, stages }: EvaluationPage): string {
  const counts = table(
    ['class', 'objects'],
    objects.map(([name, count]) => [name, String(count)]),
  );
  const times =
    stages === null
      ? ''
      : table(
          ['part of a detection', 'ms'],
          Object.entries(stages).map(([name, ms]) => [name, number(ms, 1)]),
        );
  return `<p>${images} images.</p><div class="columns">${counts}${times}</div>`;
}
